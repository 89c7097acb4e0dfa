"""The checker itself: what it must report, and what it must accept."""

from __future__ import annotations

from math import inf

import pytest

from tests.outage.history_checker import Operation, find_stale_reads


def write(process, value, began, ended):
    return Operation(process, "write", "k", value, began, ended)


def read(process, value, began, ended):
    return Operation(process, "read", "k", value, began, ended)


OLD = write(1, "old", 1, 2)


@pytest.mark.parametrize(
    "history",
    [
        [OLD, write(1, "new", 3, 4), read(1, "old", 5, 6)],
        [OLD, write(1, None, 3, 4), read(1, "old", 5, 6)],
        [write(2, "old", 1, 2), write(1, "new", 3, 4), read(1, "old", 5, 6)],
        [OLD, write(1, "new", 3, 4), write(1, "newer", 3, inf), read(1, "old", 5, 6)],
    ],
    ids=["an own value", "deleted", "another process's", "beside a write that never ended"],
)
def test_a_value_older_than_an_own_write_is_stale(history):
    ((found, missed),) = find_stale_reads(history)
    assert found.value == "old"
    assert missed.began == 3


@pytest.mark.parametrize(
    "history",
    [
        [OLD, read(1, "old", 3, 4), write(1, "new", 5, 6)],
        [OLD, write(1, "new", 3, 6), read(1, "old", 5, 7)],
        [OLD, write(2, "new", 3, 4), read(1, "old", 5, 6)],
        [write(1, "a", 1, 5), write(1, "b", 2, 4), read(1, "a", 6, 7), read(1, "b", 8, 9)],
        [write(1, "in doubt", 1, inf), write(1, "new", 3, 4), read(1, "in doubt", 5, 6)],
    ],
    ids=["read first", "at the same time", "of others", "two at the same time", "never ended"],
)
def test_other_reads_are_not_stale(history):
    assert find_stale_reads(history) == []


def test_a_value_that_was_never_written_is_an_error():
    with pytest.raises(AssertionError, match="never written"):
        find_stale_reads([read(1, "unknown", 1, 2)])
