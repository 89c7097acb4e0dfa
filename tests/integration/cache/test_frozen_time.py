"""In local mode, expiry follows the time that a test sets."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from django.test import override_settings

from continuum_upstash import UpstashCache
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.cache_entries import make_entry
from tests.integration.ratelimit.limiters import ALGORITHMS, make_policy
from tests.waiting import wait_until

freezegun = pytest.importorskip("freezegun")

START = "2026-11-26 12:00"


@pytest.fixture
def transport():
    return "local"


@pytest.fixture
def limiter(api, request):
    runner = request.getfixturevalue("runner") if api == "async" else None
    with override_settings(CACHES={"default": make_entry(None, "local")}):
        yield SyncOrAsync(Limiter(), runner)
    registry.reset()


def test_a_key_expires_when_the_time_is_moved(any_cache):
    with freezegun.freeze_time(START) as clock:
        any_cache.set("k", 1, 60)
        any_cache.set_many({"a": 1, "b": 2}, 60)
        assert any_cache.ttl("k") == 60
        clock.tick(59)
        assert any_cache.get("k") == 1
        assert any_cache.ttl("k") == 1
        clock.tick(1.1)
        assert any_cache.get("k") is None
        assert any_cache.get_many(["a", "b"]) == {}
        assert any_cache.add("k", 2, 60) is True
        assert any_cache.get_or_set("a", 3, 60) == 3
        any_cache.touch("k", 600)
        clock.move_to("2026-11-26 12:10")
        assert any_cache.get_many(["k", "a"]) == {"k": 2}


def test_an_old_value_serves_in_its_grace_when_the_time_is_moved(any_cache):
    with freezegun.freeze_time(START) as clock:
        any_cache.get_or_set("k", "old", 60, grace=60)
        clock.tick(53)
        assert any_cache.get("k") == "old"
        clock.tick(8)
        assert any_cache.get("k") is None
        assert any_cache.get_or_set("k", lambda: 1 // 0, 60, grace=60) == "old"
        clock.tick(60)
        with pytest.raises(ZeroDivisionError):
            any_cache.get_or_set("k", lambda: 1 // 0, 60, grace=60)


def test_the_time_of_expiry_is_read_from_the_frozen_clock(any_cache):
    with freezegun.freeze_time(START):
        any_cache.set("k", 1, 60)
        assert any_cache.expire_time("k") == time.time() + 60
        any_cache.expire_at("k", dt.datetime.now(tz=dt.UTC) + dt.timedelta(hours=1))
        assert any_cache.ttl("k") == 3600


def test_a_cache_that_was_used_before_follows_the_frozen_clock_and_the_real_one_afterwards(
    any_cache,
):
    any_cache.set("before", 1, 3600)
    with freezegun.freeze_time(dt.timedelta(hours=2)):
        assert any_cache.get("before") is None
        any_cache.set("inside", 1, 60)
    assert any_cache.get("inside") == 1
    any_cache.set("after", 1, 0.02)
    wait_until(lambda: any_cache.get("after") is None)


def test_a_lock_expires_when_the_time_is_moved(any_cache):
    with freezegun.freeze_time(START) as clock:
        first = any_cache.cache.lock("job", timeout=30)
        assert first.acquire()
        clock.tick(31)
        assert any_cache.cache.lock("job", blocking_timeout=0).acquire()


def test_a_plain_client_follows_the_frozen_clock():
    with freezegun.freeze_time(START) as clock, UpstashCache(mode="local") as client:
        client.set("k", 1, ttl=60)
        clock.tick(61)
        assert client.get("k") is None
    registry.reset()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_limit_is_free_again_when_the_time_is_moved(limiter, algorithm):
    policy = make_policy(algorithm, rate="3/m")
    with freezegun.freeze_time(START) as clock:
        for _ in range(2):
            allowed = [limiter.check([policy], "a").allowed for _ in range(4)]
            assert allowed == [True, True, True, False]
            clock.tick(180)
    assert limiter.check([policy], "b").allowed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_denial_in_the_future_does_not_outlive_the_frozen_time(limiter, algorithm):
    policy = make_policy(algorithm, rate="1/h")
    with freezegun.freeze_time(dt.timedelta(days=1)):
        assert [limiter.check([policy], "a").allowed for _ in range(3)] == [True, False, False]
    limiter.reset([policy], "a")
    assert limiter.check([policy], "a").allowed
