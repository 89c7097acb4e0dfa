"""Hash commands."""

from __future__ import annotations

from collections.abc import Mapping

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.arguments import added, integer, pairs
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace


def hset(space: Keyspace, key: bytes, field: bytes, value: bytes, *more: bytes) -> Reply:
    given = dict(pairs((field, value, *more), "hset"))
    stored = _stored(space, key)
    return _update(space, key, stored, given)


def _update(
    space: Keyspace, key: bytes, stored: dict[bytes, bytes], given: Mapping[bytes, bytes]
) -> int:
    """Store fields; return how many are new."""
    replaced = {field: stored[field] for field in given.keys() & stored.keys()}
    space.grow(key, stored, _weight(given) - _weight(replaced))
    stored.update(given)
    return len(given) - len(replaced)


def hget(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return _stored(space, key).get(field)


def hmget(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    stored = _stored(space, key)
    return [stored.get(each) for each in (field, *fields)]


def hgetall(space: Keyspace, key: bytes) -> Reply:
    return [text for item in _stored(space, key).items() for text in item]


def hdel(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    stored = _stored(space, key)
    gone = {each: stored.pop(each) for each in {field, *fields} if each in stored}
    if gone:
        space.shrink(key, stored, _weight(gone))
    return len(gone)


def hincrby(space: Keyspace, key: bytes, field: bytes, step: bytes) -> Reply:
    change = integer(step)
    stored = _stored(space, key)
    old = integer(stored.get(field, b"0"), "ERR hash value is not an integer")
    total = added(old, change)
    _update(space, key, stored, {field: b"%d" % total})
    return total


def _stored(space: Keyspace, key: bytes) -> dict[bytes, bytes]:
    return space.collection(key, dict)


def _weight(fields: Mapping[bytes, bytes]) -> int:
    return sum(len(field) + len(value) + MEMBER_BYTES for field, value in fields.items())
