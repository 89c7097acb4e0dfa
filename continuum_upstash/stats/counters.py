"""Counts what the caches of this process do, by alias and backend.

The lock is held for less than a microsecond and never during I/O. It is re-entrant: a signal
handler that uses the cache may interrupt its own thread while the lock is held.
"""

from __future__ import annotations

import threading

from continuum_upstash.observe import (
    Coalesced,
    CommandDetails,
    NearRead,
    ProtectedRead,
    Record,
    ValueDiscarded,
    subscribe,
    unsubscribe,
)
from continuum_upstash.stats.aggregator import Aggregator
from continuum_upstash.stats.labels import LOCAL
from continuum_upstash.stats.sampling import Sampler, read_interval
from continuum_upstash.stats.totals import Totals, add_up
from continuum_upstash.transports.registry import get_process_state


class Counters:
    """The counters of one process, see `count_record`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._aggregators: dict[str, dict[str, Aggregator]] = {}

    def count(self, record: Record) -> None:
        if type(record) is CommandDetails:
            with self._lock:
                try:
                    aggregator = self._aggregators[record.alias][record.backend]
                except KeyError:
                    aggregator = self._get_or_create(record.alias, record.backend)
                aggregator.record(record)
        elif type(record) is Coalesced:
            with self._lock:
                self._get_or_create(record.alias, record.backend).coalesced += record.batches
        elif type(record) is NearRead:
            with self._lock:
                aggregator = self._get_or_create(record.alias, LOCAL)  # nothing was billed
                aggregator.near_hits += record.hits
                aggregator.near_saved += record.saved_commands
        elif type(record) is ValueDiscarded:
            with self._lock:
                # The record names no backend: nothing that depends on it is counted.
                self._get_or_create(record.alias, LOCAL).discarded[record.kind] += 1
        elif type(record) is ProtectedRead:
            with self._lock:
                self._get_or_create(record.alias, LOCAL).protected_reads[record.result] += 1

    def read(self, alias: str) -> dict[str, Totals]:
        """Return an alias's totals so far, by backend."""
        with self._lock:
            aggregators = self._aggregators.get(alias, {})
            return {backend: each.totals() for backend, each in aggregators.items()}

    def read_sum(self, alias: str) -> Totals:
        """Return the totals of an alias that has a database; those of the local store apart."""
        found = self.read(alias)
        if LOCAL in found:
            found[LOCAL] = found[LOCAL].set_apart()
        totals = add_up(found.values())
        if read_interval():
            totals.samples = get_process_state(Sampler).read(alias)
        return totals

    def _get_or_create(self, alias: str, backend: str) -> Aggregator:
        aggregators = self._aggregators.setdefault(alias, {})
        if backend not in aggregators:
            aggregators[backend] = Aggregator(backend)
        return aggregators[backend]


def count_record(record: Record) -> None:
    """Count a record in this process; an observer, which the app subscribes."""
    get_process_state(Counters).count(record)


def read_process_totals(alias: str, *, is_local: bool = False) -> Totals:
    """Return what this process did with an alias since it started.

    Args:
        alias: the alias.
        is_local: whether its mode is local: the local store serves in place of no database.
    """
    counters = get_process_state(Counters)
    return add_up(counters.read(alias).values()) if is_local else counters.read_sum(alias)


def start() -> None:
    """Count from now on."""
    subscribe(count_record)


def stop() -> None:
    unsubscribe(count_record)
