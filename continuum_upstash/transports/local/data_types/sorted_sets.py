"""Sorted set commands, by rank and by score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.data_types.scores import (
    Bound,
    ScoredMember,
    SortedSet,
    format_score,
    parse_bound,
    parse_score,
)
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace
from continuum_upstash.transports.local.parsing import (
    parse_int,
    parse_positive,
    syntax_error,
)

_ADD_OPTIONS: Final = frozenset({b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"})
_SCORES: Final = b"WITHSCORES"


def zadd(space: Keyspace, key: bytes, first: bytes, second: bytes, *more: bytes) -> Reply:
    arguments = [first, second, *more]
    options: set[bytes] = set()
    while arguments and arguments[0].upper() in _ADD_OPTIONS:
        options.add(arguments.pop(0).upper())
    if not arguments or len(arguments) % 2:
        raise syntax_error()
    _reject_contradiction(options, len(arguments) // 2)
    scores = map(parse_score, arguments[::2])
    items = list(zip(scores, arguments[1::2], strict=True))
    stored = _get_sorted_set(space, key)
    if b"XX" not in options:
        new = {each for _, each in items if stored.get_score(each) is None}
        if new:
            space.reserve(key, stored, _size(new))
    added, changed, score = 0, 0, None
    for number, member in items:
        old = stored.get_score(member)
        score = _compute_score(options, old, number)
        if score is not None:
            stored.put(member, score + 0.0)  # as a server, which stores -0 as 0
            added += old is None
            changed += old is not None and old != score
    if b"INCR" in options:
        return None if score is None else _format_sum(score)
    return added + changed if b"CH" in options else added


def _format_sum(score: float) -> bytes:
    is_negative_zero = score == 0 and math.copysign(1, score) < 0
    return b"-0" if is_negative_zero else format_score(score)


def _reject_contradiction(options: set[bytes], pairs: int) -> None:
    if {b"NX", b"XX"} <= options:
        raise ReplyError("ERR XX and NX options at the same time are not compatible")
    if len({b"NX", b"GT", b"LT"} & options) > 1:
        raise ReplyError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in options and pairs > 1:
        raise ReplyError("ERR INCR option supports a single increment-element pair")


def _compute_score(options: set[bytes], old: float | None, number: float) -> float | None:
    """Return the new score of a member, or None if an option prevents the change."""
    if old is None:
        return None if b"XX" in options else number
    if b"NX" in options:
        return None
    score = old + number if b"INCR" in options else number
    if math.isnan(score):
        raise ReplyError("ERR resulting score is not a number (NaN)")
    prevented = (b"GT" in options and score <= old) or (b"LT" in options and score >= old)
    return None if prevented else score


def zincrby(space: Keyspace, key: bytes, delta: bytes, member: bytes) -> Reply:
    return zadd(space, key, b"INCR", delta, member)


def zrem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    return _remove(space, key, {member, *members})


def zremrangebyscore(space: Keyspace, key: bytes, low: bytes, high: bytes) -> Reply:
    found = _list_by_score(space, key, low, high)
    return _remove(space, key, {member for _, member in found})


def _remove(space: Keyspace, key: bytes, members: set[bytes]) -> int:
    stored = _get_sorted_set(space, key)
    removed = {member for member in members if stored.remove(member)}
    if removed:
        space.release(key, stored, _size(removed))
    return len(removed)


def zcard(space: Keyspace, key: bytes) -> Reply:
    return len(_get_sorted_set(space, key))


def zcount(space: Keyspace, key: bytes, low: bytes, high: bytes) -> Reply:
    return len(_list_by_score(space, key, low, high))


def zscore(space: Keyspace, key: bytes, member: bytes) -> Reply:
    score = _get_sorted_set(space, key).get_score(member)
    return None if score is None else format_score(score)


def zrank(space: Keyspace, key: bytes, member: bytes, option: bytes | None = None) -> Reply:
    if option is not None and option.upper() != b"WITHSCORE":
        raise syntax_error()
    stored = _get_sorted_set(space, key)
    rank, score = stored.get_rank(member), stored.get_score(member)
    if option is None or rank is None or score is None:
        return rank
    return [rank, format_score(score)]


def make_pop(*, is_greatest: bool) -> Callable[..., Reply]:
    """Return ZPOPMAX or ZPOPMIN."""

    def pop(space: Keyspace, key: bytes, *counts: bytes) -> Reply:
        if len(counts) > 1:
            raise syntax_error()
        number = parse_positive(counts[0]) if counts else 1
        found = _get_sorted_set(space, key).list_by_rank(0, -1, is_reverse=is_greatest)[:number]
        _remove(space, key, {member for _, member in found})
        return _list_with_scores(found)

    return pop


def zrange(space: Keyspace, key: bytes, start: bytes, stop: bytes, *arguments: bytes) -> Reply:
    options = {argument.upper() for argument in arguments}
    if not options <= {b"REV", _SCORES}:
        raise syntax_error()
    return _list_by_rank(space, key, (start, stop), options)


def zrevrange(space: Keyspace, key: bytes, start: bytes, stop: bytes, *arguments: bytes) -> Reply:
    options = {argument.upper() for argument in arguments}
    if not options <= {_SCORES}:
        raise syntax_error()
    return _list_by_rank(space, key, (start, stop), options | {b"REV"})


def _list_by_rank(
    space: Keyspace, key: bytes, ranks: tuple[bytes, bytes], options: set[bytes]
) -> Reply:
    first, last = map(parse_int, ranks)
    stored = _get_sorted_set(space, key)
    return _format(stored.list_by_rank(first, last, is_reverse=b"REV" in options), options)


def make_range_by_score(*, is_reverse: bool) -> Callable[..., Reply]:
    """Return ZRANGEBYSCORE or ZREVRANGEBYSCORE."""

    def list_range(
        space: Keyspace, key: bytes, first: bytes, last: bytes, *arguments: bytes
    ) -> Reply:
        options, offset, count = _read_range_options(arguments)
        low, high = (last, first) if is_reverse else (first, last)
        found = _list_by_score(space, key, low, high, is_high_first=is_reverse)
        found = found[::-1] if is_reverse else found
        found = [] if offset < 0 else found[offset:]
        return _format(found if count < 0 else found[:count], options)

    return list_range


def _read_range_options(arguments: Sequence[bytes]) -> tuple[set[bytes], int, int]:
    """Return the options, and the offset and the count of LIMIT; a negative count means all."""
    options: set[bytes] = set()
    offset, count = 0, -1
    rest = list(arguments)
    while rest:
        option = rest.pop(0).upper()
        if option == _SCORES:
            options.add(option)
        elif option == b"LIMIT" and len(rest) >= 2:
            offset, count = parse_int(rest.pop(0)), parse_int(rest.pop(0))
        else:
            raise syntax_error()
    return options, offset, count


def _list_by_score(
    space: Keyspace, key: bytes, low: bytes, high: bytes, *, is_high_first: bool = False
) -> list[ScoredMember]:
    texts = (high, low) if is_high_first else (low, high)
    bounds: list[Bound] = [*map(parse_bound, texts)]
    if is_high_first:
        bounds.reverse()
    return _get_sorted_set(space, key).list_by_score(*bounds)


def _format(found: Iterable[ScoredMember], options: set[bytes]) -> list[Reply]:
    return _list_with_scores(found) if _SCORES in options else [member for _, member in found]


def _list_with_scores(found: Iterable[ScoredMember]) -> list[Reply]:
    return [part for score, member in found for part in (member, format_score(score))]


def _get_sorted_set(space: Keyspace, key: bytes) -> SortedSet:
    return space.get_collection(key, SortedSet)


def _size(members: set[bytes]) -> int:
    return sum(len(member) + MEMBER_BYTES for member in members)
