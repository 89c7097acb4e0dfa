"""Set commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from secrets import SystemRandom

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.glob import compile_glob
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace
from continuum_upstash.transports.local.parsing import (
    parse_cursor,
    parse_int,
    parse_positive,
    read_scan_options,
)


def sadd(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    return _add(space, key, {member, *members})


def _add(space: Keyspace, key: bytes, members: set[bytes]) -> int:
    stored = _get_set(space, key)
    new = members - stored
    if new:
        space.reserve(key, stored, _size(new))
        stored |= new
    return len(new)


def srem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    return _remove(space, key, {member, *members})


def _remove(space: Keyspace, key: bytes, members: set[bytes]) -> int:
    stored = _get_set(space, key)
    removed = members & stored
    if removed:
        stored -= removed
        space.release(key, stored, _size(removed))
    return len(removed)


def smove(space: Keyspace, source: bytes, destination: bytes, member: bytes) -> Reply:
    if space.peek(source) is None:
        return 0
    stored = _get_set(space, source)
    _get_set(space, destination)
    if source == destination or member not in stored:
        return int(member in stored)
    _add(space, destination, {member})
    return _remove(space, source, {member})


def smembers(space: Keyspace, key: bytes) -> Reply:
    return list(_get_set(space, key))


def scard(space: Keyspace, key: bytes) -> Reply:
    return len(_get_set(space, key))


def sismember(space: Keyspace, key: bytes, member: bytes) -> Reply:
    return int(member in _get_set(space, key))


def smismember(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    stored = _get_set(space, key)
    return [int(each in stored) for each in (member, *members)]


def spop(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
    number = 1 if count is None else parse_positive(count)
    members = sorted(_get_set(space, key))
    chosen = SystemRandom().sample(members, min(number, len(members)))
    _remove(space, key, set(chosen))
    if count is None:
        return chosen[0] if chosen else None
    return list(chosen)


def srandmember(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
    number = 1 if count is None else parse_int(count)
    members = list(_get_set(space, key))
    if count is None:
        return SystemRandom().choice(members) if members else None
    if number < 0:
        return list(SystemRandom().choices(members, k=-number)) if members else []
    return list(SystemRandom().sample(members, min(number, len(members))))


def make_combine(combine: Callable[..., set[bytes]]) -> Callable[..., Reply]:
    """Return SDIFF, SINTER or SUNION, with a method of `set`."""

    def run(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
        return list(_combine(space, combine, (key, *keys)))

    return run


def make_store(combine: Callable[..., set[bytes]]) -> Callable[..., Reply]:
    """Return SDIFFSTORE, SINTERSTORE or SUNIONSTORE."""

    def run(space: Keyspace, destination: bytes, key: bytes, *keys: bytes) -> Reply:
        result = _combine(space, combine, (key, *keys))
        size = _size(result)
        space.size_of(destination, size)  # raises before the old value is removed
        space.remove(destination)
        if result:
            space.reserve(destination, result, size)
        return len(result)

    return run


def _combine(
    space: Keyspace, combine: Callable[..., set[bytes]], keys: Iterable[bytes]
) -> set[bytes]:
    return combine(*[set(_get_set(space, key)) for key in keys])


def sscan(space: Keyspace, key: bytes, cursor: bytes, *arguments: bytes) -> Reply:
    """Return all members in one page, as a server does for a small set."""
    parse_cursor(cursor)
    pattern, _ = read_scan_options(arguments)
    matches = compile_glob(pattern).match
    return [b"0", [each for each in _get_set(space, key) if matches(each)]]


def _get_set(space: Keyspace, key: bytes) -> set[bytes]:
    return space.get_collection(key, set)


def _size(members: Iterable[bytes]) -> int:
    return sum(len(each) + MEMBER_BYTES for each in members)
