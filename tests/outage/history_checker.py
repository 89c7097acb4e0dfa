"""A history of cache operations, and the reads in it that returned a stale value.

The guarantee: after a process has written or deleted a key, none of its later reads returns a
value that was written before. A miss is always allowed, because a cache may evict.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple


class Operation(NamedTuple):
    """A write of a value, a delete (a write of None), or a read that found a value.

    Attributes:
        process: the number of the process.
        kind: ``write`` or ``read``.
        began, ended: seconds of a clock that all processes share.
    """

    process: int
    kind: str
    key: str
    value: str | None
    began: float
    ended: float


def find_stale_reads(history: Iterable[Operation]) -> list[tuple[Operation, Operation]]:
    """Return each stale read, with the write of its own process that it missed.

    Every value is written once.

    Raises:
        AssertionError: a read returned a value that was never written to its key.
    """
    history = list(history)
    writes = {(each.key, each.value): each for each in history if each.kind == "write"}
    own = _group_writes(history)
    stale = []
    for read in history:
        if read.kind != "read":
            continue
        assert (read.key, read.value) in writes, f"never written: {read}"
        seen = writes[read.key, read.value]
        newest = own[read.process, read.key].find_newest_before(read.began)
        if newest is not None and seen.ended < newest.began:
            stale.append((read, newest))
    return stale


class _Writes:
    """A process's writes to a key, in the order of their ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.latest_begun: list[Operation] = []

    def add(self, write: Operation) -> None:
        latest = self.latest_begun[-1] if self.latest_begun else write
        self.ends.append(write.ended)
        self.latest_begun.append(max(latest, write, key=lambda each: each.began))

    def find_newest_before(self, time: float) -> Operation | None:
        """Return the write that began last among those that ended before `time`."""
        position = bisect_left(self.ends, time)
        return self.latest_begun[position - 1] if position else None


def _group_writes(history: list[Operation]) -> defaultdict[tuple[int, str], _Writes]:
    own: defaultdict[tuple[int, str], _Writes] = defaultdict(_Writes)
    for write in _sort_writes_by_end(history):
        own[write.process, write.key].add(write)
    return own


def _sort_writes_by_end(history: list[Operation]) -> Iterator[Operation]:
    finished = (each for each in history if each.kind == "write" and each.ended < inf)
    yield from sorted(finished, key=lambda each: each.ended)
