"""Arguments that django-redis' methods have beyond Django's, on each transport, sync and async."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from continuum_upstash.errors import LockLost, LockNotAcquired


def test_set_can_depend_on_the_key(any_cache):
    assert any_cache.set("k", 1, xx=True) is False
    assert any_cache.set("k", 1, nx=True) is True
    assert any_cache.set("k", 2, timeout=5, nx=True) is False
    assert (any_cache.get("k"), any_cache.ttl("k") > 200) == (1, True)
    assert any_cache.set("k", 3, timeout=5, xx=True) is True
    assert (any_cache.get("k"), any_cache.ttl("k")) == (3, 5)
    assert any_cache.set("k", 4, -1, nx=True) is False
    assert any_cache.get("k") == 3
    assert any_cache.set("k", 4, 0, xx=True) is True
    assert any_cache.get("k") is None
    assert any_cache.set("k", 5) is None
    with pytest.raises(ValueError, match="exclude each other"):
        any_cache.set("k", 6, nx=True, xx=True)


def test_incr_can_create_the_key(any_cache):
    assert any_cache.incr("n", 5, ignore_key_check=True) == 5
    assert any_cache.incr("n", ignore_key_check=True) == 6
    assert any_cache.ttl("n") is None
    any_cache.set("n", "text")
    with pytest.raises(TypeError):
        any_cache.incr("n", ignore_key_check=True)


def test_expire_takes_a_timedelta_and_the_default(any_cache):
    any_cache.set("k", 1, timeout=None)
    assert any_cache.expire("k", timedelta(minutes=1)) is True
    assert any_cache.ttl("k") == 60
    assert any_cache.expire("k", DEFAULT_TIMEOUT) is True
    assert any_cache.ttl("k") == 300
    assert any_cache.pexpire("k", timedelta(seconds=2)) is True
    assert 1900 < any_cache.pttl("k") <= 2000
    assert any_cache.pexpire("k", 5500) is True
    assert 5400 < any_cache.pttl("k") <= 5500
    assert any_cache.pexpire("k", DEFAULT_TIMEOUT) is True
    assert any_cache.ttl("k") == 300
    assert any_cache.expire("k", None) is True
    assert any_cache.ttl("k") is None
    assert any_cache.expire("missing", timedelta(minutes=1)) is False


def test_the_page_size_of_a_search_may_be_none(make_cache):
    cache = make_cache("rest")
    cache.set_many({"a": 1, "b": 2})
    assert sorted(cache.iter_keys("*", itersize=None)) == ["a", "b"]
    assert cache.delete_pattern("*", itersize=None) == 2


def test_the_setting_is_the_default_page_size(make_cache, emulator, settings):
    cache = make_cache("rest")
    settings.DJANGO_REDIS_SCAN_ITERSIZE = 10
    cache.set_many(dict.fromkeys(map(str, range(25)), 1), timeout=None)
    with emulator.count() as usage:
        assert cache.delete_pattern("*") == 25
    assert usage.billed >= 4


@pytest.fixture
def cache(make_cache):
    return make_cache("rest")


def test_a_lock_without_a_timeout_never_expires(cache):
    with cache.lock("l", timeout=None) as lock:
        assert cache.ttl("l") is None
        with pytest.raises(ValueError, match="has no lease"):
            lock.extend()
        lock.extend(30)
        assert cache.ttl("l") == 30


async def test_an_async_lock_without_a_timeout_never_expires(cache):
    async with cache.alock("l", timeout=None):
        assert await cache.attl("l") is None
    await cache.database.aclose()


def test_a_lock_that_does_not_block_makes_one_attempt(cache, emulator):
    other = cache.lock("l")
    assert other.acquire()
    with emulator.count() as usage:
        lock = cache.lock("l", blocking=False)
        assert lock.acquire() is False
        assert cache.lock("l").acquire(blocking_timeout=0) is False
        with pytest.raises(LockNotAcquired, match="was not acquired: another"), lock:
            pass
    assert usage.billed == 3
    other.release()


def test_a_lock_belongs_to_its_thread_unless_it_is_shared(cache):
    def release_elsewhere(lock):
        errors = []

        def release():
            try:
                lock.release()
            except LockLost as error:
                errors.append(error)

        thread = threading.Thread(target=release)
        thread.start()
        thread.join()
        return errors

    lock = cache.lock("l")
    assert lock.acquire()
    assert len(release_elsewhere(lock)) == 1
    lock.release()
    lock = cache.lock("l", thread_local=False)
    assert lock.acquire()
    assert release_elsewhere(lock) == []
    assert not cache.has_key("l")
