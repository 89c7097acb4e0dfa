"""The state of a migration in one process: rollout, pending deletes and counts."""

from __future__ import annotations

import atexit
import logging

from continuum_upstash.errors import ContinuumError
from continuum_upstash.migration.conf import MigrationSettings
from continuum_upstash.migration.counters import CountsWriter
from continuum_upstash.migration.dual.pending_deletes import PendingDeletes
from continuum_upstash.migration.rollout import get_new_cache, get_source, make_migration_key
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.transports.registry import get_process_state, list_databases

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
        get_process_state(_ExitHandler)

    @property
    def is_due(self) -> bool:
        """Whether deletes must be repeated or counts must be written."""
        return self.pending.is_due() or self.counts.is_due()


class _ExitHandler:
    """Writes the last counts when the process ends."""

    def __init__(self) -> None:
        atexit.register(write_all_counts)


def write_all_counts() -> None:
    """Write the counts of this process that are not written yet."""
    for database in list_databases():
        for state in list(database.extras.get(_States).by_options.values()):
            try:
                run(state.counts.write(), Runner(database.send))
            except ContinuumError as error:
                logger.info("The counts of a migration could not be written: %s", error)


class _States:
    def __init__(self) -> None:
        self.by_options: dict[MigrationSettings, MigrationState] = {}


def get_state(options: MigrationSettings) -> MigrationState:
    """Return the one state of these settings in this process."""
    states = get_new_cache(options).database.extras.get(_States).by_options
    found = states.get(options)
    return states.setdefault(options, MigrationState(options)) if found is None else found
