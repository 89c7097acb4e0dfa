"""Policies for tests, and access to what a limiter keeps for its database."""

from __future__ import annotations

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.fallback import get_limiter_state
from continuum_upstash.ratelimit.policy import parse_policy

ALGORITHMS = ["strict", "fixed", "sliding", "token_bucket"]


def make_policy(algorithm="strict", rate="3/d", name="p", **options):
    return parse_policy(name, {"rate": rate, "algorithm": algorithm, **options})


def get_database(limiter):
    return limiter.cache._database


def close_breakers(limiter):
    """Let the next check send its command, whatever failed before."""
    database = get_database(limiter)
    get_limiter_state(database).breaker._breaker.allow_probe_now()
    database.failover.breaker.allow_probe_now()
    database.send(Batch([("PING",)]))
