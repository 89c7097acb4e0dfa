"""The near cache of a Django cache: what reaches the service, and is billed."""

from __future__ import annotations

import os
import threading

import pytest

from continuum_upstash.backend import CacheBackend
from continuum_upstash.cache.base import ImproperlyConfiguredCache
from continuum_upstash.errors import ReplyError
from continuum_upstash.stats.counters import read_process_totals
from tests.conftest import SyncOrAsync
from tests.integration.fake_database import PASS, SECRET

NEAR = {"OPTIONS": {"NEAR": {"query:": 60.0}}}


@pytest.fixture(params=["rest", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def make_called(transport, api, make_cache, request):
    """Return a function that makes a cache with a near cache, and its sync or async methods."""

    def make(**params):
        cache = make_cache(transport, **{**NEAR, **params})
        return SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)

    return make


@pytest.fixture
def called(make_called):
    return make_called()


def test_repeated_reads_are_not_billed(called, emulator):
    called.set_many({"query:a": ["x"], "query:b": {"n": 1}, "other": "o"}, 300)
    called.get("query:a")
    with emulator.count() as spent:
        assert called.get("query:a") == ["x"]
        assert called.get_or_set("query:a", lambda: "computed") == ["x"]
        assert called.get_many(["query:a"]) == {"query:a": ["x"]}
    assert spent.billed == 0
    with emulator.count() as spent:
        assert called.get_many(["query:a", "query:b", "other", "query:none"]) == {
            "query:a": ["x"],
            "query:b": {"n": 1},
            "other": "o",
        }
        assert called.get("query:b") == {"n": 1}
        assert called.get("other") == "o"
        assert called.get("query:none") is None
    assert spent.billed == 3


def test_no_caller_can_change_the_value_of_another(called):
    called.set("query:a", {"list": [1]})
    called.get("query:a")["list"].append(2)
    called.get("query:a")["list"].append(3)
    assert called.get("query:a") == {"list": [1]}


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda cache: cache.set("query:a", "new"), "new"),
        (lambda cache: cache.set("query:a", "new", 0), None),
        (lambda cache: cache.set_many({"query:a": "new"}), "new"),
        (lambda cache: cache.delete("query:a"), None),
        (lambda cache: cache.delete_many(["query:b", "query:a"]), None),
        (lambda cache: cache.delete_pattern("query:*"), None),
        (lambda cache: cache.clear(), None),
        (lambda cache: cache.flush_all(), None),
        (lambda cache: cache.incr_version("query:a"), None),
        (lambda cache: cache.expire("query:a", 0), None),
        (lambda cache: cache.touch("query:a", 0), None),
    ],
)
def test_an_own_write_is_seen_at_once(write, expected, called):
    called.set_many({"query:a": "old", "query:b": "old"})
    assert called.get("query:a") == called.get("query:a") == "old"
    write(called)
    assert called.get("query:a") == expected


def test_a_pipeline_and_the_sdk_s_object_drop_copies(make_cache):
    cache = make_cache("rest", **NEAR)
    name = cache.make_key("query:a")
    cache.set("query:a", "old")
    assert cache.get("query:a") == "old"
    cache.client.pipeline().set(name, "new").execute()
    assert cache.get("query:a") == "new"
    cache.client.redis.delete(name)
    assert cache.get("query:a") is None


def test_deletion_by_pattern_drops_the_copies_of_keys_that_have_expired(called, emulator):
    called.set("query:a", "old")
    assert called.get("query:a") == "old"
    emulator.flush()  # as another process
    assert called.get("query:a") == "old"
    called.delete_pattern("query:*")
    assert called.get("query:a") is None


@pytest.mark.parametrize("is_first", [True, False])
def test_another_alias_of_the_same_server_drops_copies(
    is_first, transport, make_called, make_cache
):
    other = make_cache(transport, KEY_PREFIX="shop", TIMEOUT=77) if is_first else None
    if other is not None:
        other.get("opened")
    called = make_called(KEY_PREFIX="shop")
    called.set("query:a", "old")
    assert called.get("query:a") == "old"
    other = other or make_cache(transport, KEY_PREFIX="shop", TIMEOUT=77)
    assert other.database is not called.cache.database
    other.set("query:a", "new")
    assert called.get("query:a") == "new"


def test_tags_invalidate_copies_at_once(called, make_cache, transport, emulator):
    called.set("query:a", "x", tags=["article:7"])
    assert called.get("query:a") == "x"
    with emulator.count() as spent:
        assert called.get("query:a") == "x"
    assert spent.billed == 1  # the tokens of its tags
    called.delete_tags("article:7")
    assert called.get("query:a") is None


@pytest.mark.parametrize("options", [{"grace": 60}, {"early": 1, "tags": ["a", "b"]}])
def test_protected_reads_are_not_billed(options, called, emulator):
    for _ in range(2):
        assert called.get_or_set("query:a", lambda: "x", 60, **options) == "x"
    with emulator.count() as spent:
        assert called.get_or_set("query:a", lambda: "y", 60, **options) == "x"
    assert spent.billed == 0
    called.delete_tags("a")
    is_tagged = "tags" in options
    assert called.get_or_set("query:a", lambda: "y", 60, **options) == ("y" if is_tagged else "x")


def test_a_counter_is_always_read_from_the_service(called, emulator):
    called.set("query:n", 41)
    assert called.get("query:n") == 41
    with emulator.count() as spent:
        assert called.get("query:n") == 41
    assert spent.billed == 1


def test_hits_are_counted(called, new_process_state):
    called.set("query:a", "x")
    for _ in range(3):
        called.get("query:a")
    totals = read_process_totals("default")
    assert (totals.hits, totals.near_hits, totals.near_saved, totals.misses) == (0, 3, 3, 0)
    assert (totals.hit_rate, totals.billed) == (1.0, 1)


def test_the_local_mode_has_no_near_cache(make_cache):
    cache = make_cache("local", **NEAR)
    cache.set("query:a", "x")
    assert cache.get("query:a") == "x"
    assert cache.database.near is None


def test_without_the_option_there_is_no_transport_for_it(make_cache):
    cache = make_cache("rest")
    cache.get("query:a")
    assert cache.database.near is None


def test_a_key_function_that_hides_the_key_is_an_error(make_cache):
    with pytest.raises(ImproperlyConfiguredCache, match="NEAR: The key function hide"):
        make_cache("rest", KEY_FUNCTION=hide, **NEAR)


def hide(key, prefix, version):
    return f"{prefix}:{hash(key)}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_no_copies(make_cache):
    cache = make_cache("rest", **NEAR)
    cache.set("query:a", "x")
    cache.get("query:a")
    assert len(cache.database.near.own) == 1
    pid = os.fork()
    if not pid:
        os._exit(len(cache.database.near.own))
    assert os.waitpid(pid, 0)[1] == 0


def test_threads_see_their_own_writes(make_cache):
    cache, failures = make_cache("rest", **NEAR), []

    def work(number):
        key = f"query:{number}"
        for step in range(20):
            cache.set(key, [step])
            if cache.get(key) != [step] or cache.get(key) != [step]:
                failures.append((key, step))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_no_copy_survives_an_outage(transport, fake_database):
    options = {"NEAR": {"query:": 60.0}, "TOKEN": SECRET, "HEALTH_CHECK_INTERVAL": 0.1}
    if transport == "tcp":
        del options["TOKEN"]
    cache = CacheBackend(fake_database.url(transport), {"OPTIONS": options})
    cache.set_many({"query:a": "old", "query:b": "old"}, 300)
    assert cache.get_many(["query:a", "query:b"]) == {"query:a": "old", "query:b": "old"}
    fake_database.intercept = lambda *_: ReplyError("ERR max daily request limit exceeded")
    cache.set("query:a", "new")
    cache.set("query:c", "local")
    assert cache.current_backend == "local"
    assert [cache.get(f"query:{name}") for name in "abc"] == ["new", "old", "local"]
    assert [key[-1] for key in cache.database.near.own._copies] == ["b"]
    fake_database.intercept = lambda *_: PASS
    cache.database.failover.breaker.reset()
    assert [cache.get(f"query:{name}") for name in "abc"] == [None, "old", None]
