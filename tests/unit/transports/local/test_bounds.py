"""The local store stays within its bounds, and evicts the least recently used keys first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.errors import CapacityExceeded
from continuum_upstash.transports.local.keyspace import ENTRY_BYTES, MEMBER_BYTES
from tests.unit.transports.local.local_store import Store

ROOM_FOR_TWO = 2 * (ENTRY_BYTES + 300)


def keys_of(store):
    return set(store.call("SCAN", 0, "COUNT", 10_000)[1])


def used_bytes(store):
    text = store.call("INFO").decode()
    return int(text.split("used_memory:")[1].split("\r\n")[0])


def test_the_least_recently_used_key_is_evicted():
    store = Store(local_max_entries=3)
    for key in ("a", "b", "c"):
        store.call("SET", key, b"")
    store.call("GET", "a")
    store.call("SET", "d", b"")
    assert keys_of(store) == {b"a", b"c", b"d"}


@pytest.mark.parametrize(
    "use",
    [("GET", "a"), ("SET", "a", b""), ("MGET", "a"), ("INCR", "a"), ("GETEX", "a")],
)
def test_reading_and_writing_count_as_use(use):
    store = Store(local_max_entries=2)
    store.call("SET", "a", b"1")
    store.call("SET", "b", b"1")
    store.call(*use)
    store.call("SET", "c", b"1")
    assert keys_of(store) == {b"a", b"c"}


@pytest.mark.parametrize("query", [("EXISTS", "a"), ("TTL", "a"), ("TYPE", "a"), ("SCAN", 0)])
def test_queries_about_a_key_do_not_count_as_use(query):
    store = Store(local_max_entries=2)
    store.call("SET", "a", b"1")
    store.call("SET", "b", b"1")
    store.call(*query)
    store.call("SET", "c", b"1")
    assert keys_of(store) == {b"b", b"c"}


def test_an_expired_key_is_removed_before_others_are_evicted():
    store = Store(local_max_entries=2)
    store.call("SET", "old", b"")
    store.call("SET", "expired", b"", "PX", 10)
    store.clock.ms += 1_000
    store.call("SET", "new", b"")
    assert keys_of(store) == {b"old", b"new"}
    assert b"evicted_keys:0\r\n" in store.call("INFO")


def test_large_values_are_evicted_by_their_bytes():
    store = Store(local_max_bytes=ROOM_FOR_TWO)
    for key in ("a", "b", "c"):
        store.call("SET", key, bytes(290))
    assert keys_of(store) == {b"b", b"c"}


def test_a_value_larger_than_the_whole_store_is_rejected_and_the_old_one_stays():
    store = Store(local_max_bytes=2000)
    store.call("SET", "k", b"old")
    reply = store.call("SET", "k", bytes(2000))
    assert isinstance(reply, CapacityExceeded)
    assert "LOCAL_MAX_BYTES" in str(reply)
    assert store.call("GET", "k") == b"old"


@pytest.mark.parametrize(
    "command",
    [
        ("SADD", "k", *(b"%d" % n for n in range(20))),
        ("HSET", "k", *(b"%d" % n for n in range(40))),
        ("ZADD", "k", *(n for n in range(40))),
        ("MSET", "k", b"", "other", bytes(2000)),
        ("SET", "k", bytes(2000), "EX", 10),
    ],
)
def test_a_command_that_cannot_fit_changes_nothing(command):
    store = Store(local_max_bytes=2000)
    assert isinstance(store.call(*command), CapacityExceeded)
    assert keys_of(store) == set()
    assert used_bytes(store) == 0


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (("SADD", "k", b"m"), ("SADD", "k", bytes(2000))),
        (("HSET", "k", b"f", b""), ("HSET", "k", b"f", bytes(2000))),
        (("ZADD", "k", 1, b"m"), ("ZADD", "k", 1, bytes(2000))),
        (("SET", "k", b""), ("RENAME", "k", "k" * 2000)),
    ],
)
def test_a_key_that_cannot_grow_is_unchanged(small, large):
    store = Store(local_max_bytes=2000)
    store.call(*small)
    before = size_of(store, b"k")
    assert isinstance(store.call(*large), CapacityExceeded)
    assert size_of(store, b"k") == before == used_bytes(store)


def test_a_growing_collection_evicts_other_keys_but_not_itself():
    store = Store(local_max_bytes=ENTRY_BYTES * 3 + MEMBER_BYTES * 3 + 100)
    store.call("SADD", "s", b"1")
    store.call("SET", "other", b"")
    store.call("SET", "another", b"")
    store.call("SADD", "s", b"2", b"3", b"4", b"5")
    assert len(store.call("SMEMBERS", "s")) == 5
    assert keys_of(store) == {b"s", b"another"}


NAMES = st.sampled_from([b"a", b"bb", b"c" * 40])
CHANGES = st.one_of(
    st.tuples(st.just("SET"), NAMES, st.binary(max_size=50)),
    st.tuples(st.just("SET"), NAMES, st.binary(max_size=50), st.just("PX"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["DEL", "INCR", "GETDEL"]), NAMES),
    st.tuples(st.just("SADD"), NAMES, NAMES),
    st.tuples(st.just("HSET"), NAMES, NAMES, st.binary(max_size=50)),
    st.tuples(st.just("ZREM"), NAMES, NAMES),
    st.tuples(st.just("ZADD"), NAMES, st.integers(0, 3), NAMES),
    st.tuples(st.just("RENAME"), NAMES, NAMES),
    st.tuples(st.just("PEXPIRE"), NAMES, st.integers(-1, 5)),
    st.just(("tick",)),
)


@given(changes=st.lists(CHANGES, min_size=20, max_size=60))
def test_the_counted_bytes_are_those_of_the_content(changes):
    store = Store(local_max_entries=2)
    for change in changes:
        if change == ("tick",):
            store.clock.ms += 2
        else:
            store.call(*change)
        assert store.count_keys() <= 2
        assert used_bytes(store) == sum(map(size_of, [store] * 3, (b"a", b"bb", b"c" * 40)))
    store.call("DEL", b"a", b"bb", b"c" * 40)
    assert used_bytes(store) == 0


def size_of(store, key):
    """Return the bytes that a key must be counted with, from its content alone."""
    match store.call("TYPE", key):
        case b"none":
            return 0
        case b"string":
            content = store.call("STRLEN", key)
        case b"hash":
            texts = store.call("HGETALL", key)
            content = sum(map(len, texts)) + len(texts) // 2 * MEMBER_BYTES
        case b"set":
            content = sum(len(member) + MEMBER_BYTES for member in store.call("SMEMBERS", key))
        case _:
            content = sum(len(member) + MEMBER_BYTES for member in store.call("ZRANGE", key, 0, -1))
    return len(key) + ENTRY_BYTES + content


@pytest.mark.parametrize(
    ("add", "remove"),
    [
        (("ZADD", "k", 1, b"m", 2, b"n"), ("ZREM", "k", b"m")),
        (("ZADD", "k", 1, b"m", 2, b"n"), ("ZREMRANGEBYSCORE", "k", 2, 3)),
        (("HSET", "k", b"f", b"value"), ("HSET", "k", b"f", b"v")),
    ],
)
def test_removed_members_are_no_longer_counted(add, remove):
    store = Store()
    store.call(*add)
    store.call(*remove)
    assert used_bytes(store) == size_of(store, b"k")


def test_expired_keys_are_removed_without_being_read():
    store = Store()
    for n in range(1000):
        store.call("SET", f"short:{n}", b"", "PX", 10)
    store.clock.ms += 1_000
    for n in range(100):
        store.call("SET", f"k{n}", b"")
    assert used_bytes(store) < 200 * (ENTRY_BYTES + 20)


def test_a_key_in_its_last_millisecond_survives_a_write():
    store = Store()
    store.call("SET", "k", b"", "PX", 10)
    store.clock.ms += 10
    store.call("SET", "other", b"")
    assert keys_of(store) == {b"k", b"other"}


@pytest.mark.parametrize("renew", [("PEXPIRE", "k", 5000), ("SET", "k", b""), ("PERSIST", "k")])
def test_a_key_outlives_its_former_expiry(renew):
    store = Store()
    store.call("SET", "k", b"", "PX", 10)
    store.call(*renew)
    store.clock.ms += 1000
    store.call("SET", "other", b"")
    assert keys_of(store) == {b"k", b"other"}


def test_many_new_expiries_of_one_key_take_no_more_memory():
    store = Store()
    for n in range(10_000):
        store.call("SET", "k", b"", "PX", 1000 + n)
    for _ in range(10_000):
        store.call("SET", "gone", b"", "EX", 1000)
        store.call("DEL", "gone")
    assert len(store._space._expiry_heap) < 100
    assert len(store._space._slots) <= 2
