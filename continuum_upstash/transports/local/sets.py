"""Set commands."""

from __future__ import annotations

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace


def sadd(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    stored: set[bytes] = space.get_collection(key, set)
    new = {member, *members} - stored
    if new:
        space.reserve(key, stored, sum(len(each) + MEMBER_BYTES for each in new))
        stored |= new
    return len(new)


def smembers(space: Keyspace, key: bytes) -> Reply:
    return list(space.get_collection(key, set))
