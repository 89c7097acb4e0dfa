"""Counts what this process's caches do, by alias and backend.

The lock is held for less than a microsecond and never during I/O. It is re-entrant: a signal
handler that uses the cache may interrupt its own thread while the lock is held.
"""

from __future__ import annotations

import threading

from continuum_upstash.observe import Coalesced, CommandDetails, Record, subscribe, unsubscribe
from continuum_upstash.stats.aggregator import Meter
from continuum_upstash.stats.totals import Tally, total
from continuum_upstash.transports.registry import get_process_state


class Counters:
    """The counters of one process, see `count_record`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._meters: dict[str, dict[str, Meter]] = {}

    def count(self, record: Record) -> None:
        if type(record) is CommandDetails:
            with self._lock:
                try:
                    meter = self._meters[record.alias][record.backend]
                except KeyError:
                    meter = self._open(record.alias, record.backend)
                meter.note(record)
        elif type(record) is Coalesced:
            with self._lock:
                self._open(record.alias, record.backend).coalesced += record.batches

    def read(self, alias: str) -> dict[str, Tally]:
        """Return an alias's totals so far, by backend."""
        with self._lock:
            meters = self._meters.get(alias, {})
            return {backend: meter.tally() for backend, meter in meters.items()}

    def _open(self, alias: str, backend: str) -> Meter:
        meters = self._meters.setdefault(alias, {})
        if backend not in meters:
            meters[backend] = Meter(backend)
        return meters[backend]


def count_record(record: Record) -> None:
    """Count a record in this process; an observer, which the app subscribes."""
    get_process_state(Counters).count(record)


def read_process_totals(alias: str) -> Tally:
    """Return what this process did with an alias since it started, local answers included."""
    return total(get_process_state(Counters).read(alias))


def start() -> None:
    """Count from now on."""
    subscribe(count_record)


def stop() -> None:
    unsubscribe(count_record)
