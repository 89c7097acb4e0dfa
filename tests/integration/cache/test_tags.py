"""Tags over each transport, sync and async, and through an outage."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import SyncOrAsync


def test_deleting_a_tag_makes_its_values_missing_and_no_others(any_cache):
    any_cache.set("a", 1, 60, tags=["article:7", "articles"])
    any_cache.set("b", [2], None, tags=("articles",))
    any_cache.set("c", "c", 60, tags={"other"})
    any_cache.set("plain", 4, 60)
    everything = {"a": 1, "b": [2], "c": "c", "plain": 4}
    assert any_cache.get_many([*everything, "missing"]) == everything
    assert any_cache.get("a") == 1
    any_cache.delete_tags("article:7")
    assert any_cache.get("a", "gone") == "gone"
    assert any_cache.get("b") == [2]
    any_cache.delete_tags("articles", "unknown")
    assert any_cache.get_many(everything) == {"c": "c", "plain": 4}


def test_a_value_can_be_stored_again_after_its_tag_was_deleted(any_cache):
    for value in range(3):
        any_cache.set("k", value, 60, tags=["a"])
        assert any_cache.get("k") == value
        any_cache.delete_tags("a")
        assert any_cache.get("k") is None


def test_a_value_that_is_being_computed_when_its_tag_is_deleted_is_missing(any_cache):
    def compute():
        any_cache.cache.delete_tags("a")
        return 1

    assert any_cache.get_or_set("k", compute, 60, tags=["a"]) == 1
    assert any_cache.get("k") is None
    assert any_cache.get_or_set("k", 2, 60, grace=60, tags=["a"]) == 2
    assert any_cache.get("k") == 2


def test_a_value_of_a_deleted_tag_does_not_serve_as_an_old_one(any_cache):
    any_cache.get_or_set("k", 1, 60, grace=60, tags=["a"])
    any_cache.delete_tags("a")
    with pytest.raises(OSError, match="x"):
        any_cache.get_or_set("k", fail, 60, grace=60, tags=["a"])


def fail():
    raise OSError("x")


def test_a_call_without_the_tags_of_a_value_checks_them(any_cache):
    any_cache.set("k", 1, 60, tags=["a", "b"])
    assert any_cache.get_or_set("k", 2, 60) == 1
    assert any_cache.get_or_set("k", 2, 60, tags=["a"]) == 1
    any_cache.delete_tags("b")
    assert any_cache.get_or_set("k", 3, 60, tags=["a"]) == 3
    assert any_cache.get_or_set("k", 4, 60) == 3


def test_a_new_tag_in_the_code_applies_to_stored_values(any_cache):
    any_cache.set("k", 1, 60)
    assert any_cache.get_or_set("k", 2, 60, tags=["a"]) == 2
    assert any_cache.get_or_set("k", 3, 60, tags=["a", "b"]) == 3


def test_the_tags_of_a_cache_are_those_of_its_prefix_in_all_versions(make_cache, transport):
    cache, other = make_cache(transport), make_cache(transport)
    cache.set("k", 1, 60, version=5, tags=["a"])
    other.delete_tags("a")
    assert cache.get("k", version=5) == 1
    cache.delete_tags("a")
    assert cache.get("k", version=5) is None


def test_a_pipeline_and_the_plain_client_check_tags(make_cache, transport):
    cache = make_cache(transport)
    cache.set("k", 1, 60, tags=["a"])
    name = cache.make_key("k")
    assert cache.client.get(name) == 1
    assert cache.client.pipeline().get(name).get("missing").execute() == [1, None]
    cache.delete_tags("a")
    assert cache.client.get(name) is None
    assert cache.client.pipeline().get(name).execute() == [None]


def test_clear_keys_and_delete_pattern_leave_tokens_alone(any_cache):
    any_cache.set("k", 1, 60, tags=["a"])
    assert any_cache.keys("*") == ["k"]
    assert any_cache.delete_pattern("*") == 1
    any_cache.set("k", 1, 60, tags=["a"])
    any_cache.clear()
    assert any_cache.get("k") is None


def test_values_of_any_type_have_tags(any_cache):
    values = [None, "", b"\x04", "~", 5, {"a": (1,)}, "ö" * 5000]
    for number, value in enumerate(values):
        any_cache.set(f"k{number}", value, 60, tags=["a"])
        found = any_cache.get(f"k{number}", "default")
        assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ("article", TypeError),
        ([7], TypeError),
        ([""], ValueError),
        (["ö" * 128], ValueError),
        (["\ud800"], ValueError),
        ([str(number) for number in range(65)], ValueError),
    ],
)
def test_wrong_tags_are_rejected(tags, error, make_cache):
    cache = make_cache("local")
    with pytest.raises(error):
        cache.set("k", 1, 60, tags=tags)
    with pytest.raises(error):
        cache.get_or_set("k", 1, 60, tags=tags)
    assert cache.get("k") is None


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_tag_that_is_deleted_during_an_outage_is_deleted_afterwards(
    transport, api, make_cache, emulator, request
):
    cache = make_cache(transport)
    called = SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)
    called.set("k", "old", 60, tags=["a"])
    called.get_or_set("g", lambda: "old", 60, grace=60, tags=["a"])
    breaker = cache.database.failover.breaker
    breaker.force_open()
    assert called.get("k") is None
    called.set("k", "local", 60, tags=["a"])
    assert called.get("k") == "local"
    called.delete_tags("a")
    assert called.get("k") is None
    assert called.get_or_set("g", lambda: "in the outage", 60, grace=60, tags=["a"]) != "old"
    breaker.reset()
    assert called.get("k") is None
    assert called.get_or_set("g", lambda: "new", 60, grace=60, tags=["a"]) == "new"
    other = make_cache(transport, KEY_PREFIX=cache.key_prefix, TIMEOUT=77)
    assert other.get_many(["k", "g"]) == {"g": "new"}


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
@pytest.mark.parametrize("options", [{}, {"grace": 60, "early": 3, "wait": 1}], ids=str)
def test_no_thread_gets_what_was_computed_before_the_tag_was_deleted(
    transport, options, make_cache
):
    cache = make_cache(transport)
    version, deleted, wrong = [0], [0], []

    def invalidate():
        for _ in range(20):
            version[0] += 1
            cache.delete_tags("a")
            deleted[0] = version[0]

    def read(call):
        for _ in range(40):
            least = deleted[0]
            found = call()
            if found is not None and found < least:
                wrong.append((found, least))

    def get_or_set():
        timeout = random.choice([0.002, 60])
        return cache.get_or_set("k", lambda: version[0], timeout, tags=["a"], **options)

    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(read, get_or_set) for _ in range(3)]
        futures += [pool.submit(read, lambda: cache.get("k")), pool.submit(invalidate)]
        for future in futures:
            future.result()
    assert wrong == []
