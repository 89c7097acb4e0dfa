"""SCAN while keys change: keys that exist throughout are found, and a page is little work."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transports.local.local_store import Store

STAYING = [f"stay:{n}" for n in range(30)]
OTHERS = st.sampled_from([f"other:{n}" for n in range(30)])
CHANGES = st.one_of(
    st.tuples(st.just("SET"), OTHERS, st.just(b"")),
    st.tuples(st.just("DEL"), OTHERS),
    st.tuples(st.just("RENAME"), OTHERS, OTHERS),
    st.tuples(st.sampled_from(["GET", "INCR"]), st.sampled_from(STAYING)),
    st.tuples(st.just("SET"), st.sampled_from(STAYING), st.just(b"1")),
    st.tuples(st.just("RENAME"), st.just("stay:0"), st.just("stay:0")),
)


@given(
    before=st.lists(CHANGES, max_size=40),
    between=st.lists(st.lists(CHANGES, max_size=20), max_size=30),
    page=st.integers(1, 20),
)
def test_a_key_that_exists_throughout_is_found_whatever_else_happens(before, between, page):
    store = Store()
    for change in before:
        store.call(*change)
    for key in STAYING:
        store.call("SET", key, b"1")
    found, cursor, rest = set(), 0, iter(between)
    while True:
        cursor, keys = store.call("SCAN", int(cursor), "COUNT", page)
        found.update(keys)
        if cursor == b"0":
            break
        for change in next(rest, []):
            store.call(*change)
    assert found >= {key.encode() for key in STAYING}


def test_a_scan_ends_while_keys_are_created_faster_than_it_reads():
    store = Store(local_max_entries=100)
    cursor, pages, numbers = None, 0, count()
    while cursor != b"0":
        for _ in range(50):
            store.call("SET", f"k{next(numbers)}", b"")
        cursor, _ = store.call("SCAN", int(cursor or 0), "COUNT", 10)
        pages += 1
        assert pages < 50


def test_a_page_of_an_emptied_store_reads_a_bounded_number_of_slots():
    store = Store(local_max_entries=5000)
    for n in range(5000):
        store.call("SET", f"k{n}", b"")
    store.call("DEL", *(f"k{n}" for n in range(4999)))
    cursor, keys = store.call("SCAN", 0, "COUNT", 10)
    assert (int(cursor), keys) == (100, [])


def test_one_page_of_a_small_store_has_all_keys():
    store = Store()
    for n in range(8):
        store.call("SET", f"k{n}", b"")
    cursor, keys = store.call("SCAN", 0)
    assert cursor == b"0"
    assert len(keys) == 8


def test_expired_keys_are_not_found():
    store = Store()
    store.call("SET", "k", b"", "PX", 5)
    store.clock.ms += 1_000
    assert store.call("SCAN", 0) == [b"0", []]


@pytest.mark.parametrize("pattern", ["*a" * 30 + "b", "*" * 60 + "b", "a*" * 30 + "b"])
def test_no_pattern_is_slow_on_a_long_key(pattern):
    """With backtracking, these patterns would practically never end."""
    store = Store()
    store.call("SET", "a" * 1000, b"")
    assert store.call("SCAN", 0, "MATCH", pattern) == [b"0", []]


@pytest.mark.parametrize("cursor", ["-1", "x", str(2**64), "1" * 5_000])
def test_a_cursor_that_is_no_unsigned_64_bit_integer_is_an_error_reply(cursor):
    assert str(Store().call("SCAN", cursor)) == "ERR invalid cursor"
