"""The commands that keep the user index up to date.

The index of a user is a sorted set: a member is the digest of a session, its score the unix second
until which it is listed.

A session is added when it is first stored with a user, in the same round trip. It is listed for
twice its lifetime, so that most saves need not renew the entry: the stamp in the session tells
until when. Entries past their time are removed at the user's next login, entries of sessions that
have expired are removed when the sessions are next listed, and an index that is never renewed
expires.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from continuum_upstash.protocol import Command
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.keys import make_index_key
from continuum_upstash.sessions.signing import SignedSession


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
    prefix: str, old: SignedSession | None, digest: str, user_id: str | None, ttl_ms: int
) -> IndexUpdate:
    """Return how the index changes when a session is stored for `ttl_ms` milliseconds.

    Args:
        prefix: the KEY_PREFIX of the alias.
        old: the session that is replaced, if it was read.
        digest: of the session key under which the session is stored.
        user_id: the user who is logged in, if any.
        ttl_ms: the lifetime of the session.
    """
    if not conf.user_index:
        return _NO_UPDATE
    is_same = old is not None and (old.digest, old.user_id) == (digest, user_id)
    removal = () if is_same else build_index_removal(prefix, old)
    if user_id is None:
        return IndexUpdate(0, removal) if removal else _NO_UPDATE
    now, lifetime = int(time.time()), ttl_ms // 1000 + 1
    if is_same and old is not None and old.indexed_until >= now + lifetime:
        return IndexUpdate(old.indexed_until, removal)
    index_key = make_index_key(prefix, user_id)
    return IndexUpdate(
        now + 2 * lifetime,
        (
            *removal,
            ("ZREMRANGEBYSCORE", index_key, "-inf", now),
            ("ZADD", index_key, now + 2 * lifetime, digest),
            # GT does not set the expiry of a new index; NX does, and never shortens one.
            ("EXPIRE", index_key, 2 * lifetime, "NX"),
            ("EXPIRE", index_key, 2 * lifetime, "GT"),
        ),
    )


def build_index_removal(prefix: str, old: SignedSession | None) -> tuple[Command, ...]:
    """Return the commands that remove an ended session from the index."""
    if old is None or old.user_id is None or not old.indexed_until:
        return ()
    return (("ZREM", make_index_key(prefix, old.user_id), old.digest),)
