"""Hash commands."""

from __future__ import annotations

from collections.abc import Mapping

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace
from continuum_upstash.transports.local.parsing import split_pairs


def hset(space: Keyspace, key: bytes, field: bytes, value: bytes, *more: bytes) -> Reply:
    fields = dict(split_pairs((field, value, *more), "hset"))
    stored = _get_hash(space, key)
    replaced = {field: stored[field] for field in fields.keys() & stored.keys()}
    space.reserve(key, stored, _size(fields) - _size(replaced))
    stored.update(fields)
    return len(fields) - len(replaced)


def hget(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return _get_hash(space, key).get(field)


def hmget(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    stored = _get_hash(space, key)
    return [stored.get(each) for each in (field, *fields)]


def hgetall(space: Keyspace, key: bytes) -> Reply:
    return [text for item in _get_hash(space, key).items() for text in item]


def _get_hash(space: Keyspace, key: bytes) -> dict[bytes, bytes]:
    return space.get_collection(key, dict)


def _size(fields: Mapping[bytes, bytes]) -> int:
    return sum(len(field) + len(value) + MEMBER_BYTES for field, value in fields.items())
