"""Members in order of their score: a dict to find a score, a sorted list to find a range."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import itemgetter
from typing import TypeAlias

Ranked: TypeAlias = list[tuple[float, bytes]]

_score = itemgetter(0)


class SortedSet:
    __slots__ = ("_order", "_scores")

    def __init__(self) -> None:
        self._scores: dict[bytes, float] = {}
        self._order: Ranked = []

    def __len__(self) -> int:
        return len(self._scores)

    def score(self, member: bytes) -> float | None:
        return self._scores.get(member)

    def put(self, member: bytes, score: float) -> None:
        self.remove(member)
        self._scores[member] = score
        insort(self._order, (score, member))

    def remove(self, member: bytes) -> bool:
        score = self._scores.pop(member, None)
        if score is None:
            return False
        del self._order[bisect_left(self._order, (score, member))]
        return True

    def ranked(self, start: int, stop: int) -> Ranked:
        return self._order[start:stop]

    def between(self, low: float, high: float) -> Ranked:
        """Return what lies between two scores, both included."""
        start = bisect_left(self._order, low, key=_score)
        stop = bisect_right(self._order, high, key=_score)
        return self._order[start:stop]
