"""The commands that keep the user index up to date.

The index of a user is a sorted set: a member is the digest of a session, its score the unix second
until which it is listed.

A session is added when it is first stored with a user, in the same round trip. It is listed for
twice its lifetime, so most saves do not renew its entry; the stamp in the stored session tells
until when it is listed. Expired entries are removed at the user's next login. Entries of sessions
that no longer exist are removed when the sessions are next listed. The index itself expires after
its last entry.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from continuum_upstash.protocol import Command
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.keys import StorageKey, make_index_key
from continuum_upstash.sessions.signing import SignedSession, get_user_id


@dataclass(frozen=True, slots=True)
class IndexUpdate:
    """How the index changes when a session is stored.

    Attributes:
        until: the stamp of the session, in unix seconds; 0: the index does not list it.
        commands: sent in the same batch as the session.
    """

    until: int
    commands: tuple[Command, ...]


_NO_UPDATE: Final = IndexUpdate(0, ())


def build_index_update(
    key: StorageKey, data: dict[str, Any], ttl_ms: int, old: SignedSession | None
) -> IndexUpdate:
    """Return how the index changes when a session is stored.

    Args:
        key: under which the session is stored.
        data: of the session.
        ttl_ms: the lifetime of the session in milliseconds.
        old: the session that is replaced, if it was read.
    """
    if not conf.user_index:
        return _NO_UPDATE
    user_id = get_user_id(data)
    is_same = old is not None and (old.digest, old.user_id) == (key.digest, user_id)
    removal = () if is_same else build_index_removal(key, old)
    if user_id is None:
        return IndexUpdate(0, removal) if removal else _NO_UPDATE
    now, lifetime = int(time.time()), ttl_ms // 1000 + 1
    if is_same and old is not None and old.indexed_until >= now + lifetime:
        return IndexUpdate(old.indexed_until, removal)
    index_key = make_index_key(key.prefix, user_id)
    return IndexUpdate(
        now + 2 * lifetime,
        (
            *removal,
            ("ZREMRANGEBYSCORE", index_key, "-inf", now),
            ("ZADD", index_key, now + 2 * lifetime, key.digest),
            # GT does not set the expiry of a new index; NX does, and never shortens one.
            ("EXPIRE", index_key, 2 * lifetime, "NX"),
            ("EXPIRE", index_key, 2 * lifetime, "GT"),
        ),
    )


def build_index_removal(key: StorageKey, old: SignedSession | None) -> tuple[Command, ...]:
    """Return the commands that remove an ended session from the index."""
    if old is None or old.user_id is None or not old.indexed_until:
        return ()
    return (("ZREM", make_index_key(key.prefix, old.user_id), old.digest),)
