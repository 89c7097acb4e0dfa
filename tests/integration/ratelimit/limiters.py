"""What tests of the limiter need besides its fixtures."""

from __future__ import annotations

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.fallback import state_of
from continuum_upstash.ratelimit.policy import make


def database(limiter):
    return limiter.cache._database


def end_breaks(limiter):
    """Let the next check ask, whatever went wrong before; somebody who has more time probes."""
    state_of(database(limiter)).patience._breaker.allow_probe_now()
    database(limiter).failover.breaker.allow_probe_now()
    database(limiter).send(Batch([("PING",)]))


def policy(algorithm="strict", rate="3/d", name="p", **options):
    return make(name, {"rate": rate, "algorithm": algorithm, **options})
