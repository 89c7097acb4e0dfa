"""The Django backend beyond Django's own test suite, on each transport, sync and async."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.core.cache import InvalidCacheBackendError, caches
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_page

from continuum_upstash import observe
from continuum_upstash.backend import CacheBackend, get_cache
from continuum_upstash.errors import LockLost, LockNotAcquired, NotSerializable
from continuum_upstash.plans.effects import call as send_command


def test_times_to_live_in_all_units(any_cache):
    any_cache.set("k", 1, 100)
    assert 99 <= any_cache.ttl("k") <= 100
    assert 99_000 < any_cache.pttl("k") <= 100_000
    assert abs(any_cache.expire_time("k") - (time.time() + 100)) < 3
    assert any_cache.persist("k") is True
    assert any_cache.persist("k") is False
    assert (any_cache.ttl("k"), any_cache.ttl("missing")) == (None, 0)
    assert any_cache.expire("k", 50) is True
    assert any_cache.pexpire("k", 50_500) is True
    assert 50_000 < any_cache.pttl("k") <= 50_500
    when = dt.datetime.now(tz=dt.UTC) + dt.timedelta(seconds=30)
    assert any_cache.expire_at("k", when) is True
    assert 29 <= any_cache.ttl("k") <= 30
    assert any_cache.pexpire_at("k", int(when.timestamp() * 1000)) is True
    assert any_cache.expire("missing", 50) is False


def test_sub_second_timeouts_are_kept(any_cache):
    any_cache.set("k", 1, 0.75)
    assert 0 < any_cache.pttl("k") <= 750
    assert any_cache.get("k") == 1


def test_touching_a_persistent_key_with_none_is_true(any_cache):
    any_cache.set("k", 1, None)
    assert any_cache.touch("k", None) is True
    assert any_cache.touch("missing", None) is False


def test_incr_is_exact_to_64_bits(any_cache):
    any_cache.set("n", 2**63 - 3, 100)
    assert any_cache.incr("n", 2) == 2**63 - 1
    assert any_cache.get("n") == 2**63 - 1
    assert any_cache.ttl("n") > 0
    with pytest.raises(OverflowError):
        any_cache.incr("n")
    any_cache.set("big", 2**80)
    with pytest.raises(TypeError):
        any_cache.incr("big")


@pytest.mark.parametrize("delta", [0.5, "1", None])
def test_incr_by_a_value_that_is_not_an_integer_changes_nothing(any_cache, delta):
    any_cache.set("n", 1)
    with pytest.raises(TypeError):
        any_cache.incr("n", delta)
    assert any_cache.get("n") == 1


def test_incr_of_a_missing_key_raises_and_creates_nothing(any_cache):
    with pytest.raises(ValueError, match="'n' not found"):
        any_cache.incr("n")
    assert any_cache.has_key("n") is False


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_concurrent_increments_are_all_counted(transport, make_cache):
    cache = make_cache(transport)
    cache.set("n", 0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.incr("n"), range(200)))
    assert cache.get("n") == 200


def test_incr_version_keeps_the_time_to_live(any_cache):
    any_cache.set("k", {"a": 1}, 1000)
    assert any_cache.incr_version("k") == 2
    assert any_cache.get("k") is None
    assert any_cache.get("k", version=2) == {"a": 1}
    assert 990 < any_cache.ttl("k", version=2) <= 1000
    with pytest.raises(ValueError, match="not found"):
        any_cache.incr_version("k")


def test_clear_deletes_every_version_of_this_alias_and_no_other_key(
    transport, api, make_cache, any_cache
):
    other = make_cache(transport, KEY_PREFIX="other*")
    other.set("a", 1)
    for version in (1, 2, 30):
        any_cache.set("a:b*", 1, version=version)
    any_cache.clear()
    assert [any_cache.get("a:b*", version=version) for version in (1, 2, 30)] == [None] * 3
    assert other.get("a") == 1


def test_keys_and_patterns_have_no_prefix_and_version(any_cache):
    any_cache.set_many({"a:1": 1, "a:2": 2, "b[1]": 3, "b1": 4})
    any_cache.set("a:3", 1, version=2)
    assert sorted(any_cache.keys("a:*")) == ["a:1", "a:2"]
    assert any_cache.keys(r"b\[1\]") == ["b[1]"]
    assert any_cache.delete_pattern("a:*") == 2
    assert any_cache.get("a:3", version=2) == 1
    assert sorted(any_cache.keys()) == ["b1", "b[1]"]


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_iter_keys_walks_in_pages(transport, make_cache, runner):
    cache = make_cache(transport)
    names = {f"k{number}" for number in range(250)}
    cache.set_many(dict.fromkeys(names, 1))
    assert set(cache.iter_keys("k*", itersize=20)) == names

    async def collect():
        return {key async for key in cache.aiter_keys("k*", itersize=20)}

    assert runner.run(collect()) == names


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_a_lock_has_one_holder(transport, make_cache, runner):
    cache = make_cache(transport)
    with cache.lock("report", timeout=30) as lock:
        assert lock.owned()
        assert cache.lock("report").locked()
        assert not cache.lock("report").acquire(blocking=False)
        with (
            pytest.raises(LockNotAcquired),
            cache.lock("report", blocking_timeout=0.05, sleep=0.02),
        ):
            pytest.fail("two holders")
        lock.extend(60)
        assert cache.ttl("report") > 30
    assert not cache.lock("report").locked()

    async def in_tasks():
        async with cache.alock("report") as lock:
            assert await lock.owned()
            assert not await cache.alock("report").acquire(blocking=False)
        lost = cache.alock("report")
        assert await lost.acquire()
        await cache.adelete("report")
        for use in (lost.extend, lost.release):
            with pytest.raises(LockLost):
                await use()

    runner.run(in_tasks())


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_get_or_set_runs_one_factory_for_concurrent_callers(transport, make_cache, runner):
    cache = make_cache(transport)
    runs, enter = [], threading.Barrier(8)

    def factory():
        runs.append(1)
        time.sleep(0.05)  # so that the other threads call it meanwhile
        return {"made": len(runs)}

    def caller(_):
        enter.wait()
        return cache.get_or_set("k", factory)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(caller, range(8)))
    assert results == [{"made": 1}] * 8
    assert len({id(result) for result in results}) == 8
    assert runs == [1]

    async def afactory():
        runs.append(2)
        await asyncio.sleep(0.01)
        return "made"

    async def gather():
        return await asyncio.gather(*(cache.aget_or_set("l", afactory) for _ in range(8)))

    assert runner.run(gather()) == ["made"] * 8
    assert runs == [1, 2]


def test_ttl_by_prefix_is_for_keys_without_a_timeout(transport, make_cache):
    cache = make_cache(transport, OPTIONS={"TTL_BY_PREFIX": {"query:": 5, "keep:": None}})
    cache.set_many({"query:a": 1, "keep:a": 1, "other": 1})
    cache.set("query:b", 1, 100)
    assert cache.ttl("query:a") <= 5 < cache.ttl("query:b") < cache.ttl("other")
    assert cache.ttl("keep:a") is None


def test_cache_page_stores_responses(transport, make_cache, settings, monkeypatch):
    cache = make_cache(transport)
    monkeypatch.setattr("django.middleware.cache.caches", {"default": cache})
    calls = []

    @cache_page(60)
    def view(request):
        calls.append(1)
        response = HttpResponse(f"page {len(calls)}")
        response["X-Made"] = "yes"
        return response

    first, second = (view(RequestFactory().get("/")) for _ in range(2))
    assert (first.content, second.content, second["X-Made"]) == (b"page 1", b"page 1", "yes")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("transport", ["rest", "local"])
def test_a_lazy_queryset_is_stored_from_an_event_loop(transport, make_cache):
    Group.objects.create(name="staff")
    cache = make_cache(transport)

    async def store():
        await cache.aset("groups", Group.objects.all())
        return await cache.aget("groups")

    assert [group.name for group in async_to_sync(store)()] == ["staff"]


def test_lazy_text_is_stored_as_text(any_cache):
    any_cache.set("k", {"title": gettext_lazy("hello")})
    assert any_cache.get("k") == {"title": "hello"}


def test_a_key_that_is_not_utf8_is_rejected_before_it_is_sent(any_cache, transport):
    for call in (lambda: any_cache.set("\ud800", 1), lambda: any_cache.get("\ud800")):
        with pytest.raises(NotSerializable, match="surrogate"):
            call()


@pytest.mark.parametrize(
    ("location", "options", "message"),
    [
        ("https://db.upstash.io", {}, "no REST token"),
        ("", {"TOKN": 1}, "Did you mean TOKEN"),
        ("redis://db.upstash.io:6379/2", {}, "only database 0"),
    ],
)
def test_wrong_settings_are_improperly_configured(location, options, message):
    with pytest.raises(ImproperlyConfigured, match=message):
        CacheBackend(location, {"OPTIONS": options})


def test_get_cache_returns_django_s_cache_and_no_other_backend(settings):
    ours = {"BACKEND": "continuum_upstash.backend.CacheBackend", "OPTIONS": {"MODE": "local"}}
    other = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    settings.CACHES = {"default": ours, "other": other}
    assert get_cache() is caches["default"]
    with pytest.raises(ImproperlyConfigured, match="Cache 'other' is a LocMemCache"):
        get_cache("other")
    with pytest.raises(InvalidCacheBackendError):
        get_cache("missing")


@pytest.mark.parametrize("api", ["sync", "async"])
def test_a_plan_of_a_user_runs_on_the_cache_and_its_clients(transport, api, make_cache, runner):
    cache = make_cache(transport)

    def is_stored():
        return bool((yield from send_command("EXISTS", cache.make_key("k"))))

    cache.set("k", 1)
    if api == "sync":
        assert (cache.run(is_stored()), cache.client.run(is_stored())) == (True, True)
    else:
        assert runner.run(cache.arun(is_stored())) is True
        assert runner.run(cache.aclient.arun(is_stored())) is True


def test_flush_all_empties_the_database(transport, make_cache):
    one, two = make_cache(transport), make_cache(transport)
    one.set("k", 1)
    two.flush_all()
    assert one.get("k") is None


def test_clear_may_be_a_flushdb(transport, make_cache):
    cache = make_cache(transport, OPTIONS={"CLEAR": "flushdb"}, KEY_FUNCTION=_hashed)
    cache.set("k", 1)
    cache.clear()
    assert cache.get("k") is None


def _hashed(key, prefix, version):
    return f"hashed{hash((key, version))}"


def test_values_over_the_limit_are_not_stored(transport, make_cache, caplog, monkeypatch):
    monkeypatch.setattr(observe, "_logged_at", {})
    cache = make_cache(transport, OPTIONS={"MAX_VALUE_BYTES": 100})
    cache.set("k", "small")
    cache.set("k", "x" * 200)
    assert cache.get("k") is None
    assert cache.set_many({"a": 1, "b": "x" * 200}) == ["b"]
    assert caplog.text.count("MAX_VALUE_BYTES") == 1


def test_compressed_values_come_back(transport, make_cache):
    cache = make_cache(transport, OPTIONS={"COMPRESS_MIN_BYTES": 100})
    value = {"rows": ["the same text again and again"] * 100}
    cache.set("k", value)
    assert cache.get("k") == value
    raw = cache.client.pipeline().command("STRLEN", cache.make_key("k")).execute()
    assert raw[0] < 400
