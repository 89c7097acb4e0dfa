"""Retry-After on a real clock, and limiters whose clocks differ."""

from __future__ import annotations

import time

import pytest
from django.test import override_settings

from continuum_upstash.ratelimit.engine.fallback import get_limiter_state
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.policy import parse_policy
from continuum_upstash.transports import registry
from tests.integration.ratelimit.limiters import ALGORITHMS
from tests.integration.ratelimit.windows import get_maximum_in_any_window

BACKEND = "continuum_upstash.backend.CacheBackend"

BUCKET_MS = 100  # a tenth of the window
MAX_DELAY_MS = 20  # of a reply, by its own clock


@pytest.fixture(params=["rest", "tcp"])
def entry(request, emulator):
    rest = request.param == "rest"
    options = {"READ_TIMEOUT": 10.0} | ({"TOKEN": emulator.token} if rest else {})
    location = emulator.rest_url if rest else emulator.redis_url
    return {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}


@pytest.fixture
def limiters(entry):
    """Two limiters that share only the counters, as in two processes."""
    other = {**entry, "OPTIONS": {**entry["OPTIONS"], "READ_TIMEOUT": 11.0}}
    entries = {"default": entry, "other": other}
    with override_settings(CACHES=entries, CONTINUUM_RATELIMIT={"DEADLINE": 10.0}):
        yield Limiter("default"), Limiter("other")
    registry.reset()


def check_in_database(limiter, policy):
    """Check without the ephemeral cache."""
    cache = get_limiter_state(limiter._database).ephemeral_cache
    cache.clear(limiter.build_charge(policy, "a").key_prefix)
    return limiter.check([policy], "a")


def exhaust(limiter, policy):
    """Return the first denial, and the Unix milliseconds at which it ends."""
    while (decision := check_in_database(limiter, policy)).allowed:
        pass
    return decision, decision.at + round(1000 * decision.retry_after)


def shift_clock(limiter, seconds):
    """Add seconds to a limiter's estimate of the database's time."""
    limiter.check([parse_policy("fixed", {"rate": "9/d", "algorithm": "fixed"})], "another client")
    clock = get_limiter_state(limiter._database).clock
    clock._sample = clock._sample._replace(offset=clock._sample.offset + seconds)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_client_is_denied_before_retry_after_and_allowed_after_it(limiters, algorithm):
    policy = parse_policy("p", {"rate": "2/500ms", "algorithm": algorithm})
    limiter = limiters[0]
    for attempt in range(1, 21):
        denied, due = exhaust(limiter, policy)
        time.sleep(0.9**attempt * denied.retry_after)
        early = check_in_database(limiter, policy)
        if early.at < due - MAX_DELAY_MS:  # else the sleep was too long: retry with a shorter one
            break
    assert early.reason == "limited"
    assert early.at + 1000 * early.retry_after == pytest.approx(due, abs=MAX_DELAY_MS)
    time.sleep(early.retry_after)
    assert limiter.check([policy], "a").allowed


@pytest.mark.parametrize("entry", ["rest"], indirect=True)
@pytest.mark.parametrize("skew", [5.0, -5.0])
def test_limiters_whose_clocks_differ_keep_the_limit_in_their_common_time(limiters, skew):
    policy = parse_policy("p", {"rate": "20/s"})
    right, wrong = limiters
    shift_clock(wrong, skew)
    allowed, until = [], time.monotonic() + 2.5
    while time.monotonic() < until:
        for limiter in (right, wrong):
            decision = limiter.check([policy], "a")
            if decision.allowed:
                allowed.append(decision.at)
        time.sleep(0.005)
    buckets = [at // BUCKET_MS for at in allowed]
    assert buckets == sorted(buckets)
    assert get_maximum_in_any_window(1000, sorted(allowed)) == 20
    assert len(allowed) > 20
