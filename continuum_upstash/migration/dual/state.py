"""What one process must remember about a migration: rollout, pending deletes and counts."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable

from continuum_upstash.errors import ContinuumError
from continuum_upstash.migration.conf import MigrationSettings
from continuum_upstash.migration.counters import CountsWriter
from continuum_upstash.migration.dual.pending_deletes import PendingDeletes
from continuum_upstash.migration.rollout import get_new_cache, get_source, make_migration_key
from continuum_upstash.transports.registry import get_process_state

logger = logging.getLogger("continuum_upstash")


class MigrationState:
    """The state of one migration in this process.

    Attributes:
        key: see `make_migration_key`.
        source: the rollout that applies.
        pending: deletes to be repeated.
        counts: the counters of both caches.
    """

    def __init__(self, options: MigrationSettings) -> None:
        self.key = make_migration_key(options)
        self.source = get_source(options)
        self.pending = PendingDeletes()
        self.counts = CountsWriter(self.key)
        get_process_state(_ExitHandler).add(self._write_counts(options))

    @property
    def is_due(self) -> bool:
        """Whether deletes must be repeated or counts must be written."""
        return self.pending.is_due() or self.counts.is_due()

    def _write_counts(self, options: MigrationSettings) -> Callable[[], None]:
        database, counts = get_new_cache(options).database, self.counts

        def write() -> None:
            for effect in counts.write():
                database.send(effect)  # type: ignore[arg-type]

        return write


class _ExitHandler:
    """Writes the last counts when the process ends."""

    def __init__(self) -> None:
        self._functions: list[Callable[[], None]] = []
        atexit.register(self._run)

    def add(self, function: Callable[[], None]) -> None:
        self._functions.append(function)

    def _run(self) -> None:
        for function in self._functions:
            try:
                function()
            except ContinuumError as error:
                logger.warning("The counts of a migration could not be written: %s", error)


class _States:
    def __init__(self) -> None:
        self.by_options: dict[MigrationSettings, MigrationState] = {}


def get_state(options: MigrationSettings) -> MigrationState:
    """Return the one state of these settings in this process."""
    states = get_new_cache(options).database.extras.get(_States).by_options
    found = states.get(options)
    return states.setdefault(options, MigrationState(options)) if found is None else found
