"""The rollout of a migration: the phase, and the share of the keys that the new cache serves.

Four sources can determine it. The first one that does applies:

    1. `override_rollout`, in tests
    2. the shared rollout, which `write_rollout` stores in the new database: all processes read it
       at most once in ROLLOUT_INTERVAL seconds, so it changes without a deploy
    3. the variables CONTINUUM_MIGRATION_PHASE and CONTINUUM_MIGRATION_PERCENT
    4. the OPTIONS PHASE and PERCENT

The shared rollout is a JSON text under the key ``continuum:migration:{KEY_PREFIX}:{alias}``, with
the KEY_PREFIX of the new cache and the alias of the MigratingCache. It does not expire:

    {"phase": "canary", "percent": 5.0, "salt": "2026-11", "changed_at": 1764222222}

The counters of both caches are stored under keys that begin with it and `:counters:`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from django.core.cache import caches

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ReplyError, Unavailable
from continuum_upstash.keys import MIGRATION_KEYS
from continuum_upstash.migration.conf import (
    ImproperlyConfiguredMigration,
    MigrationSettings,
    Phase,
    get_settings,
    parse_percent,
    parse_phase,
    parse_salt,
)
from continuum_upstash.migration.stored_rollout import (
    BUCKETS,
    Rollout,
    RolloutRefused,
    StoredRollout,
    check_change,
    decode_record,
    encode_record,
)
from continuum_upstash.plans.conditional import build_replace, call_conditional
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.transports.registry import get_process_state

__all__ = [
    "BUCKETS",
    "Phase",
    "Rollout",
    "RolloutRefused",
    "StoredRollout",
    "aread_rollout",
    "get_new_cache",
    "make_migration_key",
    "override_rollout",
    "read_rollout",
    "read_stored_rollout",
    "write_rollout",
]

logger = logging.getLogger("continuum_upstash")

_RETRY_SECONDS: Final = 1.0  # after a failed read


def read_rollout(alias: str) -> Rollout:
    """Return the rollout that applies in this process now.

    Billed: 1 command, at most once in ROLLOUT_INTERVAL seconds for each process.

    Args:
        alias: the entry of CACHES whose BACKEND is MigratingCache.

    Raises:
        ImproperlyConfiguredMigration: the alias does not migrate, or a setting is invalid.
    """
    source = get_source(get_settings(alias))
    rollout = source.current
    return source.new_cache.run(source.read()) if rollout is None else rollout


async def aread_rollout(alias: str) -> Rollout:
    """Async `read_rollout`: return the rollout that applies in this process now."""
    source = get_source(get_settings(alias))
    rollout = source.current
    return await source.new_cache.arun(source.read()) if rollout is None else rollout


def read_stored_rollout(alias: str) -> StoredRollout | None:
    """Return the shared rollout; None if there is none. Billed: 1 command.

    Raises:
        ImproperlyConfiguredMigration: see `read_rollout`.
        Unavailable, ReplyError: the new database could not be read.
    """
    options = get_settings(alias)
    return get_new_cache(options).run(_load(make_migration_key(options)))


def write_rollout(
    alias: str,
    *,
    phase: Phase | str | None = None,
    percent: float | None = None,
    salt: str | None = None,
    force: bool = False,
) -> Rollout:
    """Store the shared rollout; return it. What is None keeps its present value.

    Other processes use it after at most ROLLOUT_INTERVAL seconds.

    Billed: 2 commands; 4 where the server has no SET IFEQ.

    Args:
        alias: the entry of CACHES whose BACKEND is MigratingCache.
        phase: the new phase.
        percent: the new percentage.
        salt: the new salt: other keys are selected.
        force: store it even if `RolloutRefused` would be raised.

    Raises:
        RolloutRefused: reads could return outdated values after the change, or another process has
            changed the rollout at the same time.
        ImproperlyConfiguredMigration: see `read_rollout`.
        ValueError: the phase, percentage or salt is invalid.
        Unavailable, ReplyError: the new database could not be read or written.
    """
    options = get_settings(alias)
    cache = get_new_cache(options)
    return cache.run(_change(options, phase, percent, salt, force=force))


@contextmanager
def override_rollout(
    alias: str, phase: Phase | str, percent: float = 0.0, salt: str = "continuum"
) -> Iterator[Rollout]:
    """Replace the rollout of an alias in this process, for tests; nothing is sent."""
    rollout = Rollout(parse_phase(phase), parse_percent(percent), parse_salt(salt))
    overrides = get_process_state(_Overrides).by_alias
    before = overrides.get(alias)
    overrides[alias] = rollout
    try:
        yield rollout
    finally:
        if before is None:
            del overrides[alias]
        else:
            overrides[alias] = before


def get_new_cache(options: MigrationSettings) -> UpstashBaseCache:
    """Return the cache that NEW names.

    Raises:
        ImproperlyConfiguredMigration: its BACKEND is not one of this package.
    """
    cache = caches[options.new]
    if not isinstance(cache, UpstashBaseCache):
        raise ImproperlyConfiguredMigration(
            f"Cache '{options.alias}': NEW is '{options.new}', a {type(cache).__qualname__}. Set "
            "the BACKEND of that entry to continuum_upstash.backend.CacheBackend."
        )
    return cache


def make_migration_key(options: MigrationSettings) -> str:
    """Return the Redis key of the shared rollout; the keys of the counters begin with it."""
    return f"{MIGRATION_KEYS}{get_new_cache(options).key_prefix}:{options.alias}"


class _Overrides:
    def __init__(self) -> None:
        self.by_alias: dict[str, Rollout] = {}


class RolloutSource:
    """The rollout of one migration as this process knows it. Any number of threads may use it.

    Attributes:
        options: the settings of the migration.
    """

    def __init__(self, options: MigrationSettings) -> None:
        self.options = options
        self._overrides = get_process_state(_Overrides).by_alias
        self._configured = Rollout(options.phase, options.percent, options.salt)
        self._rollout = self._configured
        self._is_known = not options.shared
        self._due_at = 0.0

    @property
    def new_cache(self) -> UpstashBaseCache:
        return get_new_cache(self.options)

    @property
    def current(self) -> Rollout | None:
        """The rollout that applies; None: it must be read first."""
        override = self._overrides.get(self.options.alias)
        if override is not None:
            return override
        if self._is_known and (not self.options.shared or time.monotonic() < self._due_at):
            return self._rollout
        return None

    def read(self) -> Plan[Rollout]:
        """Read the shared rollout in the new database; return the rollout that applies.

        If the database does not reply, the last known rollout applies, and the next attempt is
        made a second later. One billed command.
        """
        if self._is_known:  # meanwhile the other threads use the rollout that is known
            self._due_at = time.monotonic() + self.options.interval
        try:
            stored = yield from _load(make_migration_key(self.options))
            if stored is None and self._rollout.is_shared:
                yield from self.restore()
                stored = yield from _load(make_migration_key(self.options))
        except (Unavailable, ReplyError) as error:
            logger.warning(
                "Migration of cache '%s': the shared rollout could not be read, the phase stays "
                "%s: %s",
                self.options.alias,
                self._rollout.phase,
                error,
            )
            self._due_at = time.monotonic() + min(self.options.interval, _RETRY_SECONDS)
        else:
            self.apply(stored)
        self._is_known = True
        return self._rollout

    def apply(self, stored: StoredRollout | None) -> None:
        """Use what is stored from now on."""
        self._rollout = self._configured
        if stored is not None:
            settled_at = stored.changed_at + 2 * self.options.interval
            self._rollout = replace(stored.rollout, settled_at=settled_at)
        self._is_known = True
        self._due_at = time.monotonic() + self.options.interval

    def restore(self) -> Plan[None]:
        """Store the shared rollout again if it is missing: the database was flushed, for example.

        One billed command, if a shared rollout applies.
        """
        rollout = self._rollout
        if rollout.is_shared:
            changed_at = rollout.settled_at - 2 * self.options.interval
            data = encode_record(StoredRollout(rollout, changed_at))
            yield from call("SET", make_migration_key(self.options), data, "NX", needs_server=True)


class _Sources:
    def __init__(self) -> None:
        self.by_options: dict[MigrationSettings, RolloutSource] = {}


def get_source(options: MigrationSettings) -> RolloutSource:
    """Return the one RolloutSource of these settings in this process."""
    sources = get_new_cache(options).database.extras.get(_Sources).by_options
    return sources.setdefault(options, sources.get(options) or RolloutSource(options))


def _load(key: str) -> Plan[StoredRollout | None]:
    return _decode(key, (yield from call("GET", key, needs_server=True)))


def _decode(key: str, raw: bytes | None) -> StoredRollout | None:
    if raw is None:
        return None
    try:
        return decode_record(raw)
    except ValueError as error:
        logger.warning("The shared rollout %s is ignored: %s", key, error)
        return None


def _change(
    options: MigrationSettings,
    phase: Phase | str | None,
    percent: float | None,
    salt: str | None,
    *,
    force: bool,
) -> Plan[Rollout]:
    key = make_migration_key(options)
    raw: bytes | None = yield from call("GET", key, needs_server=True)
    before = _decode(key, raw)
    if before is None:
        before = StoredRollout(Rollout(options.phase, options.percent, options.salt), 0.0)
    rollout = replace(before.rollout, is_shared=True)
    if phase is not None:
        rollout = replace(rollout, phase=parse_phase(phase))
    if percent is not None:
        rollout = replace(rollout, percent=parse_percent(percent))
    if salt is not None:
        rollout = replace(rollout, salt=parse_salt(salt))
    is_new_phase = rollout.phase is not before.rollout.phase
    stored = StoredRollout(rollout, time.time() if is_new_phase else before.changed_at)
    if not force:
        check_change(before, stored, options.interval)
    data = encode_record(stored)
    if force:
        reply = yield from call("SET", key, data, needs_server=True)
    elif raw is None:
        reply = yield from call("SET", key, data, "NX", needs_server=True)
    else:
        conditional = get_new_cache(options).database.conditional_commands
        reply = yield from call_conditional(conditional, *build_replace(key, raw, data))
    if reply is None:
        raise RolloutRefused(
            "Another process has changed the rollout at the same time. Look at it (manage.py "
            "cache_migrate status), and repeat the change if it still applies."
        )
    get_source(options).apply(stored)
    return rollout
