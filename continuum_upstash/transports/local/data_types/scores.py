"""The value of a sorted set, and the texts of its scores."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right, insort
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from continuum_upstash.errors import ReplyError

ScoredMember: TypeAlias = tuple[float, bytes]

_get_first = itemgetter(0)


class SortedSet:
    __slots__ = ("_order", "_scores")

    def __init__(self) -> None:
        self._scores: dict[bytes, float] = {}
        self._order: list[ScoredMember] = []

    def __len__(self) -> int:
        return len(self._scores)

    def get_score(self, member: bytes) -> float | None:
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

    def get_rank(self, member: bytes) -> int | None:
        """Return how many members come before one, or None if it is not in the set."""
        score = self._scores.get(member)
        return None if score is None else bisect_left(self._order, (score, member))

    def list_by_rank(self, first: int, last: int, *, is_reverse: bool) -> list[ScoredMember]:
        """Return the members of ranks `first` to `last`; negative ranks count from the end."""
        size = len(self)
        first = max(0, first + size if first < 0 else first)
        last = last + size if last < 0 else last
        order = self._order[::-1] if is_reverse else self._order
        return order[first : last + 1] if last >= 0 else []

    def list_by_score(self, low: Bound, high: Bound) -> list[ScoredMember]:
        """Return the members with scores from `low` to `high`, in ascending order."""
        find_first = bisect_right if low.is_exclusive else bisect_left
        find_last = bisect_left if high.is_exclusive else bisect_right
        first = find_first(self._order, low.score, key=_get_first)
        last = find_last(self._order, high.score, key=_get_first)
        return self._order[first:last]


_NUMBER: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE
)


class Bound(NamedTuple):
    """One end of a range of scores."""

    score: float
    is_exclusive: bool


def parse_score(text: bytes) -> float:
    """Return the score.

    Raises:
        ReplyError: the text is no number, or a double cannot hold it.
    """
    number = _parse_number(text, "ERR value is not a valid float")
    lowered = text.lower()
    overflows = math.isinf(number) and b"inf" not in lowered
    underflows = number == 0 and lowered.split(b"e")[0].strip(b"+-0.") != b""
    if overflows or underflows:
        raise ReplyError("ERR value is not a valid float")
    return number


def parse_bound(text: bytes) -> Bound:
    """Return a bound such as ``5``, ``(5`` or ``-inf``; as on a server, no number means 0.

    Raises:
        ReplyError: the text is no number.
    """
    is_exclusive = text.startswith(b"(")
    number = _parse_number(text[is_exclusive:] or b"0", "ERR min or max is not a float")
    return Bound(number, is_exclusive)


def _parse_number(text: bytes, message: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ReplyError(message)
    return float(text)


def format_score(score: float) -> bytes:
    """Return the shortest text of a score; a server formats scores below 0.0001 differently."""
    if score.is_integer() and abs(score) <= 2**62:
        return b"%d" % score
    return repr(score).encode()
