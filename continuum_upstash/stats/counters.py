"""The sums of one process: an observer with a meter for each alias and backend.

The lock is held for less than a microsecond and never during I/O. It is re-entrant, since a signal
handler that uses the cache may interrupt its own thread in here.
"""

from __future__ import annotations

import os
import threading

from continuum_upstash.observe import Coalesced, CommandDetails, Record, subscribe, unsubscribe
from continuum_upstash.stats.meter import Meter
from continuum_upstash.stats.tally import Tally


class Counters:
    """Counts what it is told of; `observe.subscribe` takes it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin at nothing, as a forked child must: its parent counts for itself."""
        self._lock = threading.RLock()
        self._meters: dict[tuple[str, str], Meter] = {}

    def __call__(self, record: Record) -> None:
        if type(record) is CommandDetails:
            with self._lock:
                key = (record.alias, record.backend)
                (self._meters.get(key) or self._open(key)).note(record)
        elif type(record) is Coalesced:
            with self._lock:
                self._open((record.alias, record.backend)).coalesced += record.batches

    def charge(self, alias: str, backend: str, commands: int) -> None:
        """Add billed commands that nobody asked for but the statistics themselves."""
        with self._lock:
            self._open((alias, backend)).overhead += commands

    def read(self, alias: str) -> dict[str, Tally]:
        """Return an alias' sums so far, by backend."""
        with self._lock:
            return {
                backend: meter.tally()
                for (name, backend), meter in self._meters.items()
                if name == alias
            }

    def _open(self, key: tuple[str, str]) -> Meter:
        found = self._meters.get(key)
        if found is None:
            found = self._meters[key] = Meter(key[1])
        return found


counters = Counters()


def start() -> None:
    """Count from now on; twice is once."""
    subscribe(counters)


def stop() -> None:
    unsubscribe(counters)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=counters.forget)
