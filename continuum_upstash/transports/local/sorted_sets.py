"""Sorted set commands, by rank and by score."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right, insort
from operator import itemgetter
from typing import Final, NamedTuple

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace
from continuum_upstash.transports.local.parsing import parse_int, syntax_error

_ADD_OPTIONS: Final = frozenset({b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"})


def zadd(space: Keyspace, key: bytes, score: bytes, member: bytes, *more: bytes) -> Reply:
    arguments = (score, member, *more)
    if len(arguments) % 2 or score.upper() in _ADD_OPTIONS:
        raise syntax_error()
    scores = map(parse_score, arguments[::2])
    items = list(zip(scores, arguments[1::2], strict=True))
    stored = _get_sorted_set(space, key)
    new = {each for _, each in items if stored.get_score(each) is None}
    if new:
        space.reserve(key, stored, _size(new))
    for number, each in items:
        stored.put(each, number)
    return len(new)


def zrem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    return _remove(space, key, {member, *members})


def zremrangebyscore(space: Keyspace, key: bytes, low: bytes, high: bytes) -> Reply:
    bounds = parse_bound(low), parse_bound(high)
    return _remove(space, key, set(_get_sorted_set(space, key).list_by_score(*bounds)))


def _remove(space: Keyspace, key: bytes, members: set[bytes]) -> int:
    stored = _get_sorted_set(space, key)
    removed = {member for member in members if stored.remove(member)}
    if removed:
        space.release(key, stored, _size(removed))
    return len(removed)


def zscore(space: Keyspace, key: bytes, member: bytes) -> Reply:
    score = _get_sorted_set(space, key).get_score(member)
    return None if score is None else format_score(score)


def zrange(space: Keyspace, key: bytes, start: bytes, stop: bytes, *arguments: bytes) -> Reply:
    options = {argument.upper() for argument in arguments}
    if not options <= {b"REV"}:
        raise syntax_error()
    first, last = parse_int(start), parse_int(stop)
    return _get_sorted_set(space, key).list_by_rank(first, last, is_reverse=bool(options))


def _get_sorted_set(space: Keyspace, key: bytes) -> SortedSet:
    return space.get_collection(key, SortedSet)


def _size(members: set[bytes]) -> int:
    return sum(len(member) + MEMBER_BYTES for member in members)


_get_first = itemgetter(0)


class SortedSet:
    __slots__ = ("_order", "_scores")

    def __init__(self) -> None:
        self._scores: dict[bytes, float] = {}
        self._order: list[tuple[float, bytes]] = []

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

    def list_by_rank(self, first: int, last: int, *, is_reverse: bool) -> list[Reply]:
        """Return the members of ranks `first` to `last`; negative ranks count from the end."""
        size = len(self)
        first = max(0, first + size if first < 0 else first)
        last = last + size if last < 0 else last
        order = self._order[::-1] if is_reverse else self._order
        return [member for _, member in order[first : last + 1]] if last >= 0 else []

    def list_by_score(self, low: Bound, high: Bound) -> list[bytes]:
        """Return the members with scores from `low` to `high`, in ascending order."""
        find_first = bisect_right if low.is_exclusive else bisect_left
        find_last = bisect_left if high.is_exclusive else bisect_right
        first = find_first(self._order, low.score, key=_get_first)
        last = find_last(self._order, high.score, key=_get_first)
        return [member for _, member in self._order[first:last]]


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
