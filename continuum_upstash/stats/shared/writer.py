"""Writes this process's totals to the database, where they can be added to those of all processes.

A process writes after a response (Django's signal `request_finished`), at most every INTERVAL
seconds. A write is one round trip and covers one alias. A process that handles no requests (a
worker, or a management command) writes after one of its commands instead. The rest is written when
the process exits. A write waits until the alias has sent enough commands, so that the statistics
cost at most SHARE of the bill. A process that exits with fewer commands writes its hour only, see
`SharedWriter._draw_weight`. A process that is killed loses what it counted since its last write.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import secrets
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic, time
from typing import Any, Final

from django.conf import settings
from django.core.cache import caches
from django.core.signals import request_finished, request_started

from continuum_upstash.errors import (
    CapacityExceeded,
    ContinuumError,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
)
from continuum_upstash.observe import CommandDetails, Record, logger, subscribe, unsubscribe
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.stats.conf import get_setting
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared.schema import (
    HOURS_KEPT,
    MINUTES_KEPT,
    day_key,
    encode_totals,
    hour_key,
    to_utc,
)
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES
from continuum_upstash.transports.registry import Database, get_process_state, list_databases

HITS: Final = "stats:cache_hits"
MISSES: Final = "stats:cache_misses"
_PAUSE_SECONDS: Final = 600.0  # after a refusal (a read-only token) or an unexpected error
_RECHECK_SECONDS: Final = 1.0  # after too few commands: a process may live for seconds only
_EXIT_SECONDS: Final = 5.0  # at exit, no write begins later
_TEMPORARY: Final = (CapacityExceeded, QuotaExceeded, ReadOnlyReplica)
_LAST_COMMANDS: Final = 2  # HSET and EXPIRE of the hour
_HASHES: Final = 2  # the first commands of a write contain the totals


@dataclass(frozen=True, slots=True)
class _Window:
    """What this process did in one minute or one hour: one field of a hash."""

    key: str = ""
    hash_field: str = ""
    totals: Totals = field(default_factory=Totals)

    def plus(self, key: str, hash_field: str, added: Totals) -> _Window:
        """Return this window plus `added`, or a new window if the key or the field differs."""
        totals = Totals()
        if (key, hash_field) == (self.key, self.hash_field):
            totals += self.totals
        totals += added
        return _Window(key, hash_field, totals)


@dataclass(slots=True)
class _Checkpoint:
    """How much of an alias's totals has been written.

    Attributes:
        tried_at: the time of the last write, by the writer's clock; -inf: never.
        retry_at: the earliest time of the next write, after a refusal.
        written: the totals that the last write covered.
        minute, hour: what the last write stored.
        expiring: hashes that have an expiry.
        rejected: counters, or EXPIRE, that the server refuses permanently and that are not sent.
    """

    tried_at: float = -math.inf
    retry_at: float = -math.inf
    written: Totals = field(default_factory=Totals)
    minute: _Window = field(default_factory=_Window)
    hour: _Window = field(default_factory=_Window)
    expiring: frozenset[str] = frozenset()
    rejected: set[str] = field(default_factory=set)

    def accept(self, alias: str, pairs: Sequence[tuple[Command, Reply]]) -> None:
        """Process the replies to EXPIRE and INCRBY."""
        expiring = {self.minute.key, self.hour.key}
        for (name, key, *_), reply in pairs:
            if not isinstance(reply, ReplyError):
                continue
            expiring.discard(str(key))
            subject = "EXPIRE" if name == "EXPIRE" else str(key)
            if subject not in self.rejected and not isinstance(reply, _TEMPORARY):
                self.rejected.add(subject)
                logger.warning(
                    "Shared statistics of cache '%s': %s is refused and no longer sent: %s",
                    alias,
                    subject,
                    reply,
                )
        self.expiring = frozenset(expiring)


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """A write in progress; the checkpoint advances when it succeeds.

    Attributes:
        database: where to send `batch`.
        totals: what it covers.
    """

    database: Database
    batch: Batch
    totals: Totals
    minute: _Window
    hour: _Window


class SharedWriter:
    """Writes the totals of one process."""

    def __init__(
        self,
        counters: Counters | None = None,
        databases: Callable[[], Iterable[Database]] = list_databases,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._counters = counters or get_process_state(Counters)
        self._databases, self._clock, self._wall, self._draw = databases, clock, wall, draw
        self._process = secrets.token_hex(4)
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()
        self._due = -math.inf
        self._checkpoints: dict[str, _Checkpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        _register_at_child_exit()

    def is_due(self) -> bool:
        """Return whether the last write was INTERVAL seconds ago and none is in progress."""
        return self._clock() >= self._due

    def flush(self) -> None:
        """Write the totals of the alias that has waited longest, if a write is due."""
        if (write := self.claim()) is not None:
            self._send(write)

    def start_flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do the same in a task of the running event loop."""
        if (write := self.claim()) is not None:
            task = loop.create_task(self._asend(write))
            self._tasks.add(task)  # the loop itself keeps weak references only
            task.add_done_callback(self._tasks.discard)

    def flush_all(self) -> None:
        """Write the totals of every alias now, as this process ends."""
        end = self._clock() + _EXIT_SECONDS
        for database in self._databases():
            write = self._prepare(database, is_last=True)
            if write is not None and self._clock() < end:
                self._send(write)

    def read_pending(self, alias: str) -> Totals:
        """Return what this process counted since its last write; empty if SHARED is off."""
        if not get_setting("SHARED"):
            return Totals()
        checkpoint = self._checkpoints.get(alias, _Checkpoint())
        return self._counters.read_sum(alias) - checkpoint.written

    def claim(self) -> PendingWrite | None:
        """Return the write that is due, or None. No other is due before `finish`."""
        with self._lock:
            if not self.is_due():
                return None
            # An error below would occur again after the next command.
            self._due = self._clock() + _PAUSE_SECONDS
        due = self._clock() + min(get_setting("INTERVAL"), _RECHECK_SECONDS)
        for database in sorted(self._databases(), key=self._get_last_try):
            if (write := self._prepare(database)) is not None:
                return write
        self._due = due
        return None

    def finish(self, write: PendingWrite, replies: Replies) -> None:
        """Process the replies to a write. Without replies it failed; the next one covers it."""
        self._due = self._clock() + get_setting("INTERVAL")
        if not replies:
            return
        alias = write.database.config.alias
        checkpoint = self._checkpoints[alias]
        refused = [isinstance(reply, ReplyError) for reply in replies[:_HASHES]]
        if any(refused):
            checkpoint.retry_at = self._clock() + _PAUSE_SECONDS
        # Each hash is written in full, so a refused one is repaired by the next write.
        if not all(refused):
            checkpoint.written = write.totals
            checkpoint.minute, checkpoint.hour = write.minute, write.hour
            pairs = list(zip(write.batch.commands, replies, strict=True))
            checkpoint.accept(alias, pairs[_HASHES:])

    def _send(self, write: PendingWrite) -> None:
        replies: Replies = []
        try:
            with suppress(ContinuumError):  # the circuit breaker logs it
                replies = write.database.send(write.batch)
        finally:
            self.finish(write, replies)

    async def _asend(self, write: PendingWrite) -> None:
        replies: Replies = []
        try:
            with suppress(ContinuumError):  # as in _send
                replies = await write.database.asend(write.batch)
        finally:
            self.finish(write, replies)

    def _get_last_try(self, database: Database) -> float:
        checkpoint = self._checkpoints.get(database.config.alias)
        return checkpoint.tried_at if checkpoint else -math.inf

    def _prepare(self, database: Database, *, is_last: bool = False) -> PendingWrite | None:
        """Return the write of an alias; None: it would fail, or too few commands were sent."""
        alias = database.config.alias
        checkpoint = self._checkpoints.setdefault(alias, _Checkpoint())
        if database.config.mode == "local" or database.status.state not in CALLING_STATES:
            return None
        if self._clock() < checkpoint.retry_at:
            return None
        totals = self._counters.read_sum(alias)
        added = totals - checkpoint.written
        at = to_utc(self._wall())
        counted = replace(added, samples={})  # samples are stored by hour only
        minute = checkpoint.minute.plus(hour_key(alias, at), f"{at:%M}:{self._process}", counted)
        hour = checkpoint.hour.plus(day_key(alias, at), f"{at:%H}:{self._process}", added)
        windows = {MINUTES_KEPT: minute, HOURS_KEPT: hour}
        counters = [*_counter_commands(alias, added, checkpoint.rejected)]
        commands = [*_hash_commands(windows, checkpoint), *counters]
        if added.billed < len(commands) / get_setting("SHARE"):
            if not is_last:
                return None
            if (weight := self._draw_weight(added.billed)) is None:
                checkpoint.written = totals  # the weight of another process stands for them
                return None
            minute, counters = checkpoint.minute, []
            windows = {HOURS_KEPT: checkpoint.hour.plus(hour.key, hour.hash_field, added * weight)}
        if is_last:  # no later write contains the cost of this one
            own = Totals(overhead=len([*_hash_commands(windows, checkpoint), *counters]))
            totals += own
            windows = {
                kept: each.plus(each.key, each.hash_field, own) for kept, each in windows.items()
            }
            commands = [*_hash_commands(windows, checkpoint), *counters]
        checkpoint.tried_at = self._clock()
        return PendingWrite(database, Batch(commands, needs_server=True), totals, minute, hour)

    def _draw_weight(self, billed: int) -> int | None:
        """Return by how much to multiply a process's last totals; None: do not write them.

        Writing the totals of each process that sends a few commands would cost more than SHARE. Of
        N such processes, one on average therefore writes N times its totals: their sum is right.
        """
        if not billed:
            return None
        weight = math.ceil(_LAST_COMMANDS / get_setting("SHARE") / billed)
        return weight if self._draw(weight) == 0 else None


def _hash_commands(windows: dict[int, _Window], checkpoint: _Checkpoint) -> Iterator[Command]:
    """Yield the commands that store windows, by how many seconds these are kept."""
    for each in windows.values():
        yield "HSET", each.key, each.hash_field, encode_totals(each.totals)
    for kept, each in windows.items():
        if each.key not in checkpoint.expiring and "EXPIRE" not in checkpoint.rejected:
            yield "EXPIRE", each.key, kept


def _counter_commands(alias: str, added: Totals, rejected: set[str]) -> Iterator[Command]:
    for name, count in ((HITS, added.hits), (MISSES, added.misses)):
        if not count or name in rejected:
            continue
        try:
            key = full_key(alias, name)
        except Exception:  # noqa: BLE001 a KEY_FUNCTION may raise for keys that are not its own
            rejected.add(name)
            logger.exception(
                "Shared statistics of cache '%s': KEY_FUNCTION rejects %s, which is not stored",
                alias,
                name,
            )
            continue
        if key not in rejected:
            yield "INCRBY", key, count


def full_key(alias: str, key: str) -> str:
    """Return an alias's key as it is stored; a plain client's keys are stored as they are."""
    return caches[alias].make_key(key) if alias in settings.CACHES else key


def start() -> None:
    """Write from now on, unless SHARED is off."""
    stop()
    if get_setting("SHARED"):
        subscribe(_flush_after_command)
        request_started.connect(_prefer_responses)
        request_finished.connect(_flush_after_response)
        atexit.register(flush_at_exit)


def stop() -> None:
    unsubscribe(_flush_after_command)
    request_started.disconnect(_prefer_responses)
    request_finished.disconnect(_flush_after_response)
    atexit.unregister(flush_at_exit)


def _register_at_child_exit() -> None:
    """Write the last totals of a child process of multiprocessing, which does not run `atexit`."""
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, flush_at_exit, exitpriority=0)


def _flush_after_command(record: Record) -> None:
    writer = get_process_state(SharedWriter)
    if type(record) is not CommandDetails or not writer.is_due():
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        writer.flush()
    else:
        writer.start_flush(loop)


def _prefer_responses(**_: Any) -> None:
    """Stop writing after commands: in a process that handles requests, responses would wait."""
    unsubscribe(_flush_after_command)


def _flush_after_response(**_: Any) -> None:
    _run_logged(get_process_state(SharedWriter).flush)


def flush_at_exit() -> None:
    if get_setting("SHARED"):
        _run_logged(get_process_state(SharedWriter).flush_all)


def _run_logged(flush: Callable[[], None]) -> None:
    try:
        flush()
    except Exception:  # noqa: BLE001 an error in the statistics must not break the site
        logger.exception("Shared statistics could not be written")
