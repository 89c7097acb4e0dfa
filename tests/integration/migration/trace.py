"""What the processes of a migration did, and which of their reads were stale.

A value names the write that stored it. All processes of a machine share the monotonic clock, so the
times of their calls can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple


class Event(NamedTuple):
    """One call for one key.

    Attributes:
        kind: ``write``, ``add``, ``attempt``, ``delete`` or ``read``. An ``attempt`` is an add that
            failed: where only the new cache had the key, the old one had its value for a moment.
        key: the key.
        value: what was stored or read; None: nothing was found.
        started: monotonic seconds.
        ended: monotonic seconds.
    """

    kind: str
    key: str
    value: str | None
    started: float
    ended: float


def find_stale_reads(events: Iterable[Event]) -> Iterator[str]:
    """Yield the reads that returned a value which had been deleted before they started.

    That is so if the write of the value had ended when the delete started, and the delete had ended
    when the read started.
    """
    for key, of_key in _group(events).items():
        writes = {each.value: each for each in of_key if each.kind in {"write", "add", "attempt"}}
        deletes = sorted(
            (each for each in of_key if each.kind == "delete"), key=lambda each: each.ended
        )
        for read in of_key:
            if read.kind != "read" or read.value is None:
                continue
            write = writes.get(read.value)
            if write is None:
                yield f"{key}: {read.value} was never stored: {read}"
                continue
            for delete in deletes:
                if write.ended < delete.started and delete.ended < read.started:
                    yield f"{key}: {write} … {delete} … {read}"
                    break


def find_double_adds(events: Iterable[Event]) -> Iterator[str]:
    """Yield the adds that stored a value although an earlier one was not deleted."""
    for key, of_key in _group(events).items():
        adds = sorted((each for each in of_key if each.kind == "add"), key=lambda each: each.ended)
        deletes = [each for each in of_key if each.kind == "delete"]
        for one, other in pairwise(adds):
            started = min(one.started, other.started)
            if not any(each.ended > started and each.started < other.ended for each in deletes):
                yield f"{key}: {one} … {other}"


def _group(events: Iterable[Event]) -> dict[str, list[Event]]:
    groups: dict[str, list[Event]] = defaultdict(list)
    for each in events:
        groups[each.key].append(each)
    return groups
