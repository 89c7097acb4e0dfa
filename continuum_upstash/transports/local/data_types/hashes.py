"""Hash commands."""

from __future__ import annotations

from collections.abc import Mapping

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.glob import compile_glob
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace
from continuum_upstash.transports.local.parsing import (
    INT64_MAX,
    INT64_MIN,
    parse_cursor,
    parse_int,
    read_scan_options,
    split_pairs,
)


def hset(space: Keyspace, key: bytes, field: bytes, value: bytes, *more: bytes) -> Reply:
    fields = dict(split_pairs((field, value, *more), "hset"))
    stored = _get_hash(space, key)
    replaced = {field: stored[field] for field in fields.keys() & stored.keys()}
    space.reserve(key, stored, _size(fields) - _size(replaced))
    stored.update(fields)
    return len(fields) - len(replaced)


def hget(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return _get_hash(space, key).get(field)


def hdel(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    stored = _get_hash(space, key)
    removed = {each: stored.pop(each) for each in {field, *fields} & stored.keys()}
    if removed:
        space.release(key, stored, _size(removed))
    return len(removed)


def hexists(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return int(field in _get_hash(space, key))


def hincrby(space: Keyspace, key: bytes, field: bytes, delta: bytes) -> Reply:
    amount = parse_int(delta)
    stored = _get_hash(space, key)
    old = stored.get(field)
    total = amount + (0 if old is None else parse_int(old, "ERR hash value is not an integer"))
    if not INT64_MIN <= total <= INT64_MAX:
        raise ReplyError("ERR increment or decrement would overflow")
    new = b"%d" % total
    growth = _size({field: new}) if old is None else len(new) - len(old)
    space.reserve(key, stored, growth)
    stored[field] = new
    return total


def hkeys(space: Keyspace, key: bytes) -> Reply:
    return list(_get_hash(space, key))


def hlen(space: Keyspace, key: bytes) -> Reply:
    return len(_get_hash(space, key))


def hvals(space: Keyspace, key: bytes) -> Reply:
    return list(_get_hash(space, key).values())


def hmget(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    stored = _get_hash(space, key)
    return [stored.get(each) for each in (field, *fields)]


def hgetall(space: Keyspace, key: bytes) -> Reply:
    return [text for item in _get_hash(space, key).items() for text in item]


def hscan(space: Keyspace, key: bytes, cursor: bytes, *arguments: bytes) -> Reply:
    """Return all fields in one page, as a server does for a small hash."""
    parse_cursor(cursor)
    pattern, _ = read_scan_options(arguments)
    matches = compile_glob(pattern).match
    items = _get_hash(space, key).items()
    return [b"0", [text for item in items if matches(item[0]) for text in item]]


def _get_hash(space: Keyspace, key: bytes) -> dict[bytes, bytes]:
    return space.get_collection(key, dict)


def _size(fields: Mapping[bytes, bytes]) -> int:
    return sum(len(field) + len(value) + MEMBER_BYTES for field, value in fields.items())
