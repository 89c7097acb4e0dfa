"""Limits and clocks: what clients are told of the time, and clients whose clocks disagree."""

from __future__ import annotations

import time

import pytest
from django.test import override_settings

from continuum_upstash.ratelimit.engine.fallback import state_of
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.policy import make
from continuum_upstash.transports import registry
from tests.integration.ratelimit.test_workers import most_in_any

ALGORITHMS = ["strict", "fixed", "sliding", "token_bucket"]
BACKEND = "continuum_upstash.backend.CacheBackend"

BUCKET = 200  # a tenth of the window, in milliseconds

# What a reply may be late by in the clock of its own: milliseconds.
CLEARLY = 20


@pytest.fixture(params=["rest", "tcp"])
def entry(request, emulator):
    rest = request.param == "rest"
    options = {"READ_TIMEOUT": 10.0} | ({"TOKEN": emulator.token} if rest else {})
    location = emulator.rest_url if rest else emulator.redis_url
    return {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}


@pytest.fixture
def limiters(entry):
    """Two limiters that count together, and share nothing else: as in two processes."""
    other = {**entry, "OPTIONS": {**entry["OPTIONS"], "READ_TIMEOUT": 11.0}}
    entries = {"default": entry, "other": other}
    with override_settings(CACHES=entries, CONTINUUM_RATELIMIT={"DEADLINE": 10.0}):
        yield Limiter("default"), Limiter("other")
    registry.reset()


def ask(limiter, policy):
    """Ask the database, whatever the process remembers."""
    state_of(limiter._database).denials.forget(limiter.charge(policy, "a").storage)
    return limiter.check([policy], "a")


def refuse(limiter, policy):
    while (decision := ask(limiter, policy)).allowed:
        pass
    return decision, decision.at + round(1000 * decision.retry_after)


def put_forward(limiter, seconds):
    """Have the clock of a limiter show another time than the database's."""
    limiter.check([make("fixed", {"rate": "9/d", "algorithm": "fixed"})], "who sets the clock")
    clock = state_of(limiter._database).clock
    clock._sample = clock._sample._replace(ahead=clock._sample.ahead + seconds)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_comes_back_early_is_refused_and_who_waits_as_long_as_told_is_let_in(
    limiters, algorithm
):
    policy = make("p", {"rate": "2/s", "algorithm": algorithm})
    limiter = limiters[0]
    for attempt in range(1, 21):
        refused, due = refuse(limiter, policy)
        time.sleep(0.9**attempt * refused.retry_after)
        early = ask(limiter, policy)
        if early.at < due - CLEARLY:  # else this machine has overslept: earlier the next time
            break
    assert early.reason == "limited"
    assert early.at + 1000 * early.retry_after == pytest.approx(due, abs=CLEARLY)
    time.sleep(early.retry_after)
    assert limiter.check([policy], "a").allowed


@pytest.mark.parametrize("skew", [5.0, -5.0])
def test_limiters_whose_clocks_disagree_let_through_the_limit_in_the_limiters_time(limiters, skew):
    policy = make("p", {"rate": "20/2s"})
    right, wrong = limiters
    put_forward(wrong, skew)
    passed, until = [], time.monotonic() + 5.0
    while time.monotonic() < until:
        for limiter in (right, wrong):
            decision = limiter.check([policy], "a")
            if decision.allowed:
                passed.append(decision.at)
        time.sleep(0.005)
    buckets = [at // BUCKET for at in passed]
    assert buckets == sorted(buckets)
    assert most_in_any(2000, sorted(passed)) == 20
    assert len(passed) > 20
