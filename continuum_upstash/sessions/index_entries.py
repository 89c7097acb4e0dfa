"""The index of a user's sessions, kept along with them.

    {KEY_PREFIX}:session-user:{user id}   sorted set: a digest, and until when it is listed

A session enters it when it is first stored with a user, in the same round trip. It is listed for
twice its age from then on, so that most saves need not renew that: the stamp in the record says
until when. Members whose time is up are removed when the user next logs in, those whose session
has gone without a word when the sessions are next listed, and a set that nobody renews expires.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from continuum_upstash.protocol import Command
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.signing import Record


def index_name(prefix: str, user: str) -> str:
    return f"{prefix}:session-user:{user}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What it takes to have a session listed.

    Attributes:
        until: the stamp for its record, in unix seconds; 0 where it is not listed.
        commands: to send along with the record, in the same batch.
    """

    until: int
    commands: tuple[Command, ...]


def listing(prefix: str, old: Record | None, digest: str, user: str | None, px: int) -> Listing:
    """Return what listing a session takes that is stored under `digest` for `px` milliseconds.

    `old` is the record that it replaces, if that was read.
    """
    if not conf.user_index:
        return Listing(0, ())
    same = old is not None and (old.digest, old.user) == (digest, user)
    commands = () if same else unlisting(prefix, old)
    if user is None:
        return Listing(0, commands)
    now, age = int(time.time()), px // 1000 + 1
    if same and old is not None and old.listed_until >= now + age:
        return Listing(old.listed_until, commands)
    name = index_name(prefix, user)
    return Listing(
        now + 2 * age,
        (
            *commands,
            ("ZREMRANGEBYSCORE", name, "-inf", now),
            ("ZADD", name, now + 2 * age, digest),
            # GT alone would leave a new set without an end; a longer one's end must stay.
            ("EXPIRE", name, 2 * age, "NX"),
            ("EXPIRE", name, 2 * age, "GT"),
        ),
    )


def unlisting(prefix: str, old: Record | None) -> tuple[Command, ...]:
    """Return what takes an ended session out of the index."""
    if old is None or old.user is None or not old.listed_until:
        return ()
    return (("ZREM", index_name(prefix, old.user), old.digest),)
