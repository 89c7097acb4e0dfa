"""Members in order of their score: a dict to find a score, a sorted list to find a range."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import itemgetter
from typing import TypeAlias

from continuum_upstash.transports.local.scores import Bound

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

    def between(self, low: Bound, high: Bound) -> Ranked:
        first = bisect_right if low.excluded else bisect_left
        last = bisect_left if high.excluded else bisect_right
        start = first(self._order, low.score, key=_score)
        return self._order[start : last(self._order, high.score, key=_score)]
