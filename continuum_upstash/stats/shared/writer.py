"""Sums of all processes, in the database itself: each process' part rides in its own batches.

A process writes at most every INTERVAL seconds, and only when the commands since pay for it: the
statistics never cost more than SHARE of the bill. What a process counted since its last write is
lost when it dies.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic, time
from typing import Final

from django.conf import settings
from django.core.cache import caches

from continuum_upstash.errors import CapacityExceeded, QuotaExceeded, ReadOnlyReplica, ReplyError
from continuum_upstash.observe import Overhead, logger, notify
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.stats.billing import billed
from continuum_upstash.stats.conf import setting
from continuum_upstash.stats.counters import Counters, counters
from continuum_upstash.stats.shared.schema import (
    HOURS_KEPT,
    MINUTES_KEPT,
    day_name,
    dump,
    hour_name,
    utc,
)
from continuum_upstash.stats.totals import Tally, total
from continuum_upstash.transports.wrappers import piggyback

HITS: Final = "stats:cache_hits"
MISSES: Final = "stats:cache_misses"
_REFUSED_SECONDS: Final = 600.0  # a read-only token, or a full database: try again much later
_PASSING: Final = (CapacityExceeded, QuotaExceeded, ReadOnlyReplica)
_HASHES: Final = 2  # the first commands of a load, those that hold the sums


@dataclass(slots=True)
class _Span:
    """What this process did in one minute, or one hour."""

    key: str = ""
    field: str = ""
    tally: Tally | None = None

    def grown(self, key: str, field: str, by: Tally) -> _Span:
        tally = Tally()
        if self.tally is not None and (key, field) == (self.key, self.field):
            tally += self.tally
        tally += by
        return _Span(key, field, tally)

    def dumped(self) -> bytes:
        return dump(self.tally or Tally())


@dataclass(slots=True)
class _Written:
    """How far an alias' sums have been written.

    Attributes:
        expiring: hashes that have their time to live.
        left_out: what is refused for good, and not sent again: counters, or EXPIRE.
    """

    due: float = 0.0
    upto: Tally = field(default_factory=Tally)
    minute: _Span = field(default_factory=_Span)
    hour: _Span = field(default_factory=_Span)
    expiring: frozenset[str] = frozenset()
    left_out: set[str] = field(default_factory=set)

    def learn(self, alias: str, pairs: Sequence[tuple[Command, Reply]]) -> None:
        """Take the replies to EXPIRE and INCRBY."""
        given = {self.minute.key, self.hour.key}
        for (name, key, *_), reply in pairs:
            if not isinstance(reply, ReplyError):
                continue
            given.discard(str(key))
            what = "EXPIRE" if name == "EXPIRE" else str(key)
            if what not in self.left_out and not isinstance(reply, _PASSING):
                self.left_out.add(what)
                logger.warning("Statistics of '%s' go on without %s: %s", alias, what, reply)
        self.expiring = frozenset(given)


@dataclass(frozen=True, slots=True)
class _Load:
    """A write on its way; what it changes here counts once it has arrived."""

    commands: Sequence[Command]
    arrived: Callable[[Replies], None]

    def delivered(self, replies: Replies) -> None:
        self.arrived(replies)


class Shared:
    """Offers this process' sums to batches that are sent anyway; a `riding.Rider`."""

    def __init__(
        self,
        source: Counters,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._counters, self._clock, self._wall = source, clock, wall
        self.forget()

    def forget(self) -> None:
        """Begin anew under another name, as a forked child must."""
        self._process = secrets.token_hex(4)
        self._lock = threading.RLock()
        self._aliases: dict[str, _Written] = {}

    def offer(self, alias: str, backend: str) -> _Load | None:
        now = self._clock()
        written = self._aliases.get(alias)
        if written is not None and now < written.due:
            return None
        with self._lock:
            written = self._aliases.setdefault(alias, _Written())
            if now < written.due:
                return None
            # Whatever fails below fails again: not for each batch.
            written.due = now + _REFUSED_SECONDS
        due = now + setting("INTERVAL")
        sums = total(self._counters.read(alias))
        since = sums - written.upto
        load = self._load(alias, backend, written, sums)
        paid = since.billed >= len(load.commands) / setting("SHARE")
        written.due = due
        return load if paid else None

    def unwritten(self, alias: str) -> Tally:
        """Return what this process has counted since it last wrote; nothing if it never writes."""
        if not setting("SHARED"):
            return Tally()
        written = self._aliases.get(alias, _Written())
        return total(self._counters.read(alias)) - written.upto

    def _load(self, alias: str, backend: str, written: _Written, sums: Tally) -> _Load:
        at, since = utc(self._wall()), sums - written.upto
        minute, hour = self._spans(alias, at, written, since)
        commands: list[Command] = [
            ("HSET", minute.key, minute.field, minute.dumped()),
            ("HSET", hour.key, hour.field, hour.dumped()),
        ]
        for key, kept in ((minute.key, MINUTES_KEPT), (hour.key, HOURS_KEPT)):
            if key not in written.expiring and "EXPIRE" not in written.left_out:
                commands.append(("EXPIRE", key, kept))
        commands += _counts(alias, since, written.left_out)

        def arrived(replies: Replies) -> None:
            pairs = list(zip(commands, replies, strict=True))
            cost = sum(billed(str(command[0]), command, reply) for command, reply in pairs)
            notify(Overhead(alias, backend, cost))
            refused = [isinstance(reply, ReplyError) for reply in replies[:_HASHES]]
            if any(refused):
                written.due = self._clock() + _REFUSED_SECONDS
            # Who has one of both writes the other as a whole the next time.
            if not all(refused):
                written.upto, written.minute, written.hour = sums, minute, hour
                written.learn(alias, pairs[_HASHES:])

        return _Load(commands, arrived)

    def _spans(
        self, alias: str, at: datetime, written: _Written, since: Tally
    ) -> tuple[_Span, _Span]:
        minute = written.minute.grown(hour_name(alias, at), f"{at:%M}:{self._process}", since)
        hour = written.hour.grown(day_name(alias, at), f"{at:%H}:{self._process}", since)
        return minute, hour


def _counts(alias: str, since: Tally, left_out: set[str]) -> Iterator[Command]:
    for name, count in ((HITS, since.hits), (MISSES, since.misses)):
        if not count or name in left_out:
            continue
        try:
            key = full_name(alias, name)
        except Exception:  # noqa: BLE001 a KEY_FUNCTION may take its application's own keys only
            left_out.add(name)
            logger.exception("Cache '%s' makes no key of %s: it is not counted there", alias, name)
            continue
        if key not in left_out:
            yield "INCRBY", key, count


def full_name(alias: str, key: str) -> str:
    """Return the database's name of an alias' key; a plain client's keys are full names."""
    return caches[alias].make_key(key) if alias in settings.CACHES else key


shared = Shared(counters)


def start() -> None:
    """Share from now on, unless CONTINUUM_STATS says not to."""
    piggyback.seat(shared if setting("SHARED") else None)


def stop() -> None:
    piggyback.seat(None)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=shared.forget)
