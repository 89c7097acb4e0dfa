"""The sums of one process: an observer with a meter for each alias and backend.

The lock is held for less than a microsecond and never during I/O. It is re-entrant, since a signal
handler that uses the cache may interrupt its own thread in here.
"""

from __future__ import annotations

import os
import threading

from continuum_upstash.observe import (
    Coalesced,
    CommandDetails,
    Overhead,
    Record,
    subscribe,
    unsubscribe,
)
from continuum_upstash.stats.aggregator import Meter
from continuum_upstash.stats.totals import Tally


class Counters:
    """Counts what it is told of; `observe.subscribe` takes it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin at nothing, as a forked child must: its parent counts for itself."""
        self._lock = threading.RLock()
        self._meters: dict[str, dict[str, Meter]] = {}

    def __call__(self, record: Record) -> None:
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
        elif type(record) is Overhead:
            with self._lock:
                self._open(record.alias, record.backend).overhead += record.billed

    def read(self, alias: str) -> dict[str, Tally]:
        """Return an alias' sums so far, by backend."""
        with self._lock:
            meters = self._meters.get(alias, {})
            return {backend: meter.tally() for backend, meter in meters.items()}

    def _open(self, alias: str, backend: str) -> Meter:
        meters = self._meters.setdefault(alias, {})
        if backend not in meters:
            meters[backend] = Meter(backend)
        return meters[backend]


counters = Counters()


def start() -> None:
    """Count from now on; twice is once."""
    subscribe(counters)


def stop() -> None:
    unsubscribe(counters)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=counters.forget)
