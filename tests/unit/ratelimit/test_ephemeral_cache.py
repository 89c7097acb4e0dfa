"""The identities known to be blocked, and until when."""

from __future__ import annotations

import math

import pytest

from continuum_upstash.ratelimit.engine.ephemeral_cache import EphemeralCache
from continuum_upstash.ratelimit.engine.script import Charge
from continuum_upstash.ratelimit.policy import parse_policy
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def cache(clock):
    return EphemeralCache(size=3, clock=clock)


def make_charge(key_prefix="a", limit=5, cost=1, rate="5/m", algorithm="strict"):
    policy = parse_policy("p", {"rate": rate, "algorithm": algorithm})
    return Charge(policy, key_prefix, cost, limit)


def test_a_charge_is_blocked_until_exactly_its_end(cache, clock):
    cache.block(make_charge(), 2.0)
    clock.now += 1.5
    assert cache.get_blocked_seconds(make_charge()) == 0.5
    clock.now += 0.5
    assert cache.get_blocked_seconds(make_charge()) == 0.0
    assert len(cache) == 0


def test_a_lower_cost_is_not_blocked(cache):
    cache.block(make_charge(cost=3), 2.0)
    seconds = [cache.get_blocked_seconds(make_charge(cost=cost)) for cost in (2, 3, 4)]
    assert seconds == [0.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "other", [{"limit": 6}, {"rate": "5/s"}, {"algorithm": "fixed"}, {"key_prefix": "b"}]
)
def test_other_counters_are_not_blocked(cache, other):
    cache.block(make_charge(), 2.0)
    assert cache.get_blocked_seconds(make_charge(**other)) == 0.0


def test_a_long_block_is_used_for_one_minute_and_returned_in_full(cache, clock):
    cache.block(make_charge(), 3600.0)
    clock.now += 59
    assert cache.get_blocked_seconds(make_charge()) == 3541.0
    clock.now += 1
    assert cache.get_blocked_seconds(make_charge()) == 0.0


def test_a_cache_without_other_processes_uses_a_block_until_its_end(clock):
    cache = EphemeralCache(max_trust_seconds=math.inf, clock=clock)
    cache.block(make_charge(), 3600.0)
    clock.now += 3599
    assert cache.get_blocked_seconds(make_charge()) == 1.0


def test_a_block_ends_when_the_clock_is_set_back(cache, clock):
    cache.block(make_charge(), 3600.0)
    clock.now -= 1
    assert cache.get_blocked_seconds(make_charge()) == 0.0


def test_the_cache_is_bounded_and_drops_the_oldest_entry(cache):
    for name in "abcd":
        cache.block(make_charge(name), 2.0)
    seconds = [cache.get_blocked_seconds(make_charge(name)) for name in "abcd"]
    assert seconds == [0.0, 2.0, 2.0, 2.0]
    assert len(cache) == 3


def test_clear_drops_the_entries_of_all_limits(cache):
    cache.block(make_charge(limit=5), 2.0)
    cache.block(make_charge(limit=6), 2.0)
    cache.clear("a")
    assert len(cache) == 0


def test_a_signal_handler_may_use_the_cache_while_its_thread_holds_the_lock(cache):
    with cache._lock:
        assert cache._lock.acquire(blocking=False)
        cache._lock.release()
