"""Set commands."""

from __future__ import annotations

from collections.abc import Iterable

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace


def sadd(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    stored: set[bytes] = space.collection(key, set)
    new = {member, *members} - stored
    if new:
        space.grow(key, stored, _weight(new))
        stored |= new
    return len(new)


def srem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    stored: set[bytes] = space.collection(key, set)
    gone = {member, *members} & stored
    if gone:
        stored -= gone
        space.shrink(key, stored, _weight(gone))
    return len(gone)


def smembers(space: Keyspace, key: bytes) -> Reply:
    return list(space.collection(key, set))


def scard(space: Keyspace, key: bytes) -> Reply:
    return len(space.collection(key, set))


def sismember(space: Keyspace, key: bytes, member: bytes) -> Reply:
    return int(member in space.collection(key, set))


def _weight(members: Iterable[bytes]) -> int:
    return sum(len(member) + MEMBER_BYTES for member in members)
