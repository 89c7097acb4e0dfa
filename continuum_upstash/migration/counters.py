"""The counters of both caches of a migration, of all processes.

Each process writes its totals of the present hour at most once a minute, and at its end, into a
hash of the new database. The hash expires 48 hours after its first write in each process:

    key     continuum:migration:{KEY_PREFIX}:{alias}:counters:{hour}   hour: Unix seconds // 3600
    field   12 random characters, one for each process
    value   a JSON array of twelve entries, see `MigrationCounts`:

    [old hits, old misses, old errors, [old latencies], new hits, new misses, new errors,
     [new latencies], compared, mismatches, filled, lost deletes]

Latencies are counts of reads by their duration: the first of 14 counts those of at most 0.25 ms,
each further one those of at most twice as long, the last one all that are longer. Billed: 2
commands for the first write of an hour, then 1 a minute: at most 43,920 a month for a process that
is never idle.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from continuum_upstash.errors import ContinuumError
from continuum_upstash.migration.conf import get_settings
from continuum_upstash.migration.rollout import get_new_cache, make_migration_key
from continuum_upstash.plans.effects import Batch, Plan, call_many
from continuum_upstash.protocol import Command

WRITE_SECONDS: Final = 60.0
_KEPT_SECONDS: Final = 48 * 3600
_HOUR: Final = 3600
_LATENCIES: Final = 14
_FIRST_LATENCY_MS: Final = 0.25
_MAX_RECORD_BYTES: Final = 2048


@dataclass(slots=True)
class SideCounts:
    """What one of the two caches returned.

    Attributes:
        hits: keys that were found.
        misses: keys that were not found.
        errors: calls that raised an error.
        latencies: reads by their duration.
    """

    hits: int = 0
    misses: int = 0
    errors: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * _LATENCIES)

    def add_latency(self, seconds: float) -> None:
        """Count a read by its duration."""
        limit, index = _FIRST_LATENCY_MS / 1000, 0
        while seconds > limit and index < _LATENCIES - 1:
            limit, index = limit * 2, index + 1
        self.latencies[index] += 1

    def estimate_latency_ms(self, share: float) -> float | None:
        """Return the milliseconds that this share of the reads took at most; None: no reads.

        Durations are counted in steps of a factor of 2, so the result is up to twice the exact one.
        """
        reads, seen = sum(self.latencies), 0
        for index, count in enumerate(self.latencies):
            seen += count
            if count and seen >= share * reads:
                return float(_FIRST_LATENCY_MS * 2**index)
        return None

    def add(self, other: SideCounts) -> None:
        """Add the counts of another process."""
        self.hits += other.hits
        self.misses += other.misses
        self.errors += other.errors
        self.latencies = [a + b for a, b in zip(self.latencies, other.latencies, strict=True)]


@dataclass(slots=True)
class MigrationCounts:
    """The totals of a migration.

    Attributes:
        old: the cache that is left.
        new: the cache that replaces it.
        compared: reads of the phase ``shadow`` whose values were compared.
        mismatches: how many of them differed, without those that the new cache did not find.
        filled: values that were copied from the old cache to the new one by a read.
        lost_deletes: deletes that failed on one side and were not repeated, since more than
            1,000 keys were waiting.
    """

    old: SideCounts = field(default_factory=SideCounts)
    new: SideCounts = field(default_factory=SideCounts)
    compared: int = 0
    mismatches: int = 0
    filled: int = 0
    lost_deletes: int = 0

    def add(self, other: MigrationCounts) -> None:
        """Add the counts of another process."""
        self.old.add(other.old)
        self.new.add(other.new)
        self.compared += other.compared
        self.mismatches += other.mismatches
        self.filled += other.filled
        self.lost_deletes += other.lost_deletes


def encode_counts(counts: MigrationCounts) -> bytes:
    """Return the stored bytes of counts."""
    document: list[Any] = []
    for side in (counts.old, counts.new):
        document += [side.hits, side.misses, side.errors, side.latencies]
    document += [counts.compared, counts.mismatches, counts.filled, counts.lost_deletes]
    return json.dumps(document, separators=(",", ":")).encode()


def decode_counts(raw: bytes) -> MigrationCounts:
    """Return counts from their stored bytes.

    Raises:
        ValueError: the bytes have another form.
    """
    try:
        document = json.loads(raw) if len(raw) <= _MAX_RECORD_BYTES else None
    except RecursionError:
        raise ValueError("they are nested too deeply") from None
    if not isinstance(document, list) or len(document) != 12:
        raise ValueError("they are not a JSON array of 12 entries")
    new_latencies, old_latencies = document.pop(7), document.pop(3)
    for latencies in (old_latencies, new_latencies):
        if not isinstance(latencies, list) or len(latencies) != _LATENCIES:
            raise ValueError(f"the latencies are not an array of {_LATENCIES} counts")
    numbers = [*document, *old_latencies, *new_latencies]
    if not all(type(each) is int and 0 <= each < 2**53 for each in numbers):
        raise ValueError("a count is not an integer of at least 0")
    total = MigrationCounts(SideCounts(), SideCounts(), *document[6:])
    for side, counts, latencies in (
        (total.old, document[:3], old_latencies),
        (total.new, document[3:6], new_latencies),
    ):
        side.hits, side.misses, side.errors = counts
        side.latencies = latencies
    return total


def read_counts(alias: str, hours: int = 24) -> MigrationCounts:
    """Return the totals of all processes since the beginning of an hour.

    Billed: 1 command for each hour.

    Args:
        alias: the entry of CACHES whose BACKEND is MigratingCache.
        hours: the present hour and those before it; at most 48.

    Raises:
        ImproperlyConfiguredMigration: the alias does not migrate.
        Unavailable, ReplyError: the new database could not be read.
    """
    options = get_settings(alias)
    key, hour = make_migration_key(options), int(time.time() // _HOUR)
    keys = [_make_key(key, hour - back) for back in range(min(max(hours, 1), 48))]
    commands: list[Command] = [("HVALS", each) for each in keys]
    replies = get_new_cache(options).run(call_many(commands, needs_server=True))
    total = MigrationCounts()
    for raw in (raw for reply in replies for raw in reply):
        try:
            total.add(decode_counts(raw))
        except ValueError:
            continue  # another program has written it
    return total


class CountsWriter:
    """The counts of one migration in this process, and when they are due. Thread-safe.

    Args:
        key: the key of the migration, see `make_migration_key`.
        clock: returns Unix seconds.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock
        self._lock = threading.Lock()
        self._field = secrets.token_urlsafe(9)
        self._hour = int(clock() // _HOUR)
        self._counts, self._changed, self._expires = MigrationCounts(), False, False
        self._due_at = clock() + WRITE_SECONDS

    def count_reads(self, side: str, hits: int, misses: int, seconds: float) -> None:
        """Count one read of a side, ``old`` or ``new``, of one key or several."""
        with self._lock:
            counts = self._get_side(side)
            counts.hits += hits
            counts.misses += misses
            counts.add_latency(seconds)

    def count_error(self, side: str) -> None:
        """Count a call of a side that raised an error."""
        with self._lock:
            self._get_side(side).errors += 1

    def count(
        self, *, compared: int = 0, mismatches: int = 0, filled: int = 0, lost_deletes: int = 0
    ) -> None:
        """Add to the counts that belong to no side, see `MigrationCounts`."""
        with self._lock:
            self._changed = True
            self._counts.compared += compared
            self._counts.mismatches += mismatches
            self._counts.filled += filled
            self._counts.lost_deletes += lost_deletes

    def is_due(self) -> bool:
        """Return whether the counts should be written now."""
        return self._changed and self._clock() >= self._due_at

    def write(self) -> Plan[None]:
        """Write the counts of the present hour, or those of the hour that has ended."""
        with self._lock:
            if not self._changed:
                return
            key, data = _make_key(self._key, self._hour), encode_counts(self._counts)
            self._changed, expires, self._expires = False, self._expires, True
            self._due_at = self._clock() + WRITE_SECONDS
            hour = int(self._clock() // _HOUR)
            if hour != self._hour:
                self._hour, self._counts, self._expires = hour, MigrationCounts(), False
        commands: list[Command] = [("HSET", key, self._field, data)]
        if not expires:
            commands.append(("EXPIRE", key, _KEPT_SECONDS))
        try:
            yield Batch(commands, needs_server=True)
        except ContinuumError:
            with self._lock:  # the next write tries again, with EXPIRE: the key may exist by now
                self._changed, self._expires = True, False
            raise

    def _get_side(self, side: str) -> SideCounts:
        self._changed = True
        return self._counts.old if side == "old" else self._counts.new


def _make_key(key: str, hour: int) -> str:
    return f"{key}:counters:{hour}"
