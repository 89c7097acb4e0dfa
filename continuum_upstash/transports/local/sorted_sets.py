"""Sorted set commands: by rank and by score; none by name."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.arguments import integer, pairs, syntax_error
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace

_ADD_WORDS: Final = frozenset({b"NX", b"XX", b"GT", b"LT", b"CH"})


def zadd(space: Keyspace, key: bytes, first: bytes, second: bytes, *more: bytes) -> Reply:
    words, items = _read_items((first, second, *more))
    stored = space.collection(key, SortedSet)
    new = {member for _, member in items if stored.score(member) is None}
    if b"XX" in words:
        items = [item for item in items if item[1] not in new]
    elif new:
        space.grow(key, stored, _weight(new))
    added = changed = 0
    for number, member in items:
        old = stored.score(member)
        if old is None:
            added += 1
        elif old == number or not _replaces(words, old, number):
            continue
        else:
            changed += 1
        stored.put(member, number)
    return added + changed if b"CH" in words else added


def _read_items(arguments: Sequence[bytes]) -> tuple[set[bytes], list[tuple[float, bytes]]]:
    words: set[bytes] = set()
    rest = list(arguments)
    while rest and rest[0].upper() in _ADD_WORDS:
        words.add(rest.pop(0).upper())
    if not rest or len(rest) % 2:
        raise syntax_error()
    if words >= {b"NX", b"XX"}:
        raise ReplyError("ERR XX and NX options at the same time are not compatible")
    if len(words & {b"GT", b"LT", b"NX"}) > 1:
        raise ReplyError("ERR GT, LT, and/or NX options at the same time are not compatible")
    return words, [(score(text), member) for text, member in pairs(rest, "zadd")]


def _replaces(words: set[bytes], old: float, new: float) -> bool:
    return not (b"NX" in words or (b"GT" in words and new < old) or (b"LT" in words and new > old))


def zrem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    return _remove(space, key, {member, *members})


def zremrangebyscore(space: Keyspace, key: bytes, low: bytes, high: bytes) -> Reply:
    ends = bound(low), bound(high)
    return _remove(space, key, {member for _, member in _stored(space, key).between(*ends)})


def _remove(space: Keyspace, key: bytes, members: set[bytes]) -> int:
    stored = _stored(space, key)
    gone = {member for member in members if stored.remove(member)}
    if gone:
        space.shrink(key, stored, _weight(gone))
    return len(gone)


def zcard(space: Keyspace, key: bytes) -> Reply:
    return len(_stored(space, key))


def zscore(space: Keyspace, key: bytes, member: bytes) -> Reply:
    number = _stored(space, key).score(member)
    return None if number is None else score_text(number)


@dataclass(slots=True)
class _Range:
    """How a range is asked for; a negative `count` is no limit."""

    by_score: bool = False
    backwards: bool = False
    scores: bool = False
    offset: int = 0
    count: int = -1

    def reply(self, found: Ranked) -> Reply:
        if self.backwards:
            found = found[::-1]
        found = [] if self.offset < 0 else found[self.offset :]
        found = found if self.count < 0 else found[: self.count]
        if not self.scores:
            return [member for _, member in found]
        return [text for number, member in found for text in (member, score_text(number))]


def zrange(space: Keyspace, key: bytes, start: bytes, stop: bytes, *words: bytes) -> Reply:
    wanted = _read_range(words, frozenset({b"BYSCORE", b"REV", b"WITHSCORES", b"LIMIT"}))
    if wanted.by_score:
        low, high = (stop, start) if wanted.backwards else (start, stop)
        return _by_score(space, key, low, high, wanted)
    if wanted.count != -1:
        raise ReplyError(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
        )
    wanted.offset = 0
    first, last = integer(start), integer(stop)
    return wanted.reply(_by_rank(_stored(space, key), first, last, backwards=wanted.backwards))


def zrangebyscore(space: Keyspace, key: bytes, low: bytes, high: bytes, *words: bytes) -> Reply:
    wanted = _read_range(words, frozenset({b"WITHSCORES", b"LIMIT"}))
    return _by_score(space, key, low, high, wanted)


def _by_score(space: Keyspace, key: bytes, low: bytes, high: bytes, wanted: _Range) -> Reply:
    ends = bound(low), bound(high)
    return wanted.reply(_stored(space, key).between(*ends))


def _by_rank(stored: SortedSet, first: int, last: int, *, backwards: bool) -> Ranked:
    """Return ranks `first` to `last`, in ascending order; negative ones count from the end."""
    size = len(stored)
    first = max(0, first + size if first < 0 else first)
    last = min(size - 1, last + size if last < 0 else last)
    if first > last:
        return []
    if backwards:
        first, last = size - 1 - last, size - 1 - first
    return stored.ranked(first, last + 1)


def _read_range(words: Sequence[bytes], known: frozenset[bytes]) -> _Range:
    wanted = _Range()
    rest = iter(words)
    for word in rest:
        option = word.upper()
        if option not in known:
            raise syntax_error()
        if option == b"LIMIT":
            offset, count = next(rest, None), next(rest, None)
            if offset is None or count is None:
                raise syntax_error()
            wanted.offset, wanted.count = integer(offset), integer(count)
        wanted.by_score |= option == b"BYSCORE"
        wanted.backwards |= option == b"REV"
        wanted.scores |= option == b"WITHSCORES"
    return wanted


def _stored(space: Keyspace, key: bytes) -> SortedSet:
    return space.collection(key, SortedSet)


def _weight(members: set[bytes]) -> int:
    return sum(len(member) + MEMBER_BYTES for member in members)


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


_NUMBER: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE
)


class Bound(NamedTuple):
    """An end of a range of scores, which may itself be outside."""

    score: float
    excluded: bool


def score(text: bytes) -> float:
    """Return the score.

    Raises:
        ReplyError: no number, or one beyond what a double holds.
    """
    number = _number(text, "ERR value is not a valid float")
    lowered = text.lower()
    too_large = math.isinf(number) and b"inf" not in lowered
    too_small = number == 0 and lowered.split(b"e")[0].strip(b"+-0.") != b""
    if too_large or too_small:
        raise ReplyError("ERR value is not a valid float")
    return number


def bound(text: bytes) -> Bound:
    """Return the end that is given as ``5``, ``(5``, ``-inf``; as on a server, nothing is 0.

    Raises:
        ReplyError: no number.
    """
    excluded = text.startswith(b"(")
    return Bound(_number(text[excluded:] or b"0", "ERR min or max is not a float"), excluded)


def _number(text: bytes, otherwise: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ReplyError(otherwise)
    return float(text)


def score_text(number: float) -> bytes:
    """Return the shortest text that reads back as this number (Valkey's fpconv_dtoa)."""
    if math.isinf(number):
        return b"inf" if number > 0 else b"-inf"
    if number.is_integer() and abs(number) <= 2**62:
        return b"%d" % number
    from decimal import Decimal  # noqa: PLC0415 few scores are no integers, and it loads slowly

    shortest = Decimal(repr(number)).normalize()
    sign, digits, exponent = shortest.as_tuple()
    assert isinstance(exponent, int)
    leading = len(digits) + exponent - 1
    plain = exponent > -7 or abs(leading) < 4 if exponent < 0 else leading < len(digits) + 7
    if plain:
        return f"{shortest:f}".encode()
    text = "".join(map(str, digits))
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' * sign}{text[0]}{fraction}e{leading:+d}".encode()
