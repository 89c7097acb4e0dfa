"""The settings of one migration: the OPTIONS of an entry of CACHES and the environment.

    CACHES["default"] = {
        "BACKEND": "continuum_upstash.migration.MigratingCache",
        "OPTIONS": {"OLD": "classic", "NEW": "upstash", "PHASE": "shadow", "PERCENT": 5},
    }

CONTINUUM_MIGRATION_PHASE and CONTINUUM_MIGRATION_PERCENT replace PHASE and PERCENT.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.errors import ConfigurationError, suggest_similar

BACKEND: Final = "continuum_upstash.migration.MigratingCache"
PHASE_VARIABLE: Final = "CONTINUUM_MIGRATION_PHASE"
PERCENT_VARIABLE: Final = "CONTINUUM_MIGRATION_PERCENT"

_DEFAULTS: Final[Mapping[str, Any]] = {
    "OLD": None,
    "NEW": None,
    "PHASE": "off",
    "PERCENT": 0,
    "SALT": "continuum",
    "ROLLOUT_INTERVAL": 30.0,  # seconds; 86,400 billed commands a month for each process
    "ROLLOUT_SHARED": True,
}
_MAX_SALT: Final = 64


class ImproperlyConfiguredMigration(ConfigurationError, ImproperlyConfigured):
    """A setting of the migration is wrong; the message names it and the fix."""


class Phase(StrEnum):
    """How far a migration is.

    Attributes:
        OFF: reads and writes use the old cache.
        SHADOW: reads use the old cache, writes go to both; a share of the reads also read the new
            cache, to compare.
        CANARY: a share of the keys is read from the new cache, the others from the old one; writes
            go to both.
        NEW_PRIMARY: reads use the new cache, and the old one where it has no value; writes go to
            both.
        NEW_ONLY: reads and writes use the new cache.
    """

    OFF = "off"
    SHADOW = "shadow"
    CANARY = "canary"
    NEW_PRIMARY = "new_primary"
    NEW_ONLY = "new_only"


class MigrationSettings(NamedTuple):
    """The settings of one migration.

    Attributes:
        alias: the entry of CACHES whose BACKEND is MigratingCache.
        old: the alias of the cache that is left.
        new: the alias of the cache that replaces it.
        phase: PHASE.
        percent: PERCENT, from 0 to 100.
        salt: SALT. Another salt selects other keys.
        interval: ROLLOUT_INTERVAL: seconds after which a process reads the shared rollout again.
        shared: ROLLOUT_SHARED: whether the rollout that is stored in the new database applies.
    """

    alias: str
    old: str
    new: str
    phase: Phase
    percent: float
    salt: str
    interval: float
    shared: bool


def get_settings(alias: str) -> MigrationSettings:
    """Return the settings of the migration of an alias.

    Raises:
        ImproperlyConfiguredMigration: CACHES has no such migration, or an option is invalid.
    """
    entry: Mapping[str, Any] | None = settings.CACHES.get(alias)
    if entry is None or entry.get("BACKEND") != BACKEND:
        raise ImproperlyConfiguredMigration(
            f"Cache '{alias}' does not migrate: name an entry of CACHES with the BACKEND {BACKEND}."
        )
    return parse_options(alias, entry.get("OPTIONS", {}))


def parse_options(alias: str, options: Mapping[str, Any]) -> MigrationSettings:
    """Return the settings in the OPTIONS of an entry of CACHES and in the environment.

    Raises:
        ImproperlyConfiguredMigration: an option or a variable is invalid.
    """
    for unknown in options.keys() - _DEFAULTS.keys():
        hint = suggest_similar(str(unknown), _DEFAULTS) or f" Options: {', '.join(_DEFAULTS)}."
        raise ImproperlyConfiguredMigration(
            f"Cache '{alias}': MigratingCache has no option {unknown}.{hint}"
        )
    values = {**_DEFAULTS, **options}
    old, new = values["OLD"], values["NEW"]
    if not (isinstance(old, str) and isinstance(new, str)) or len({alias, old, new}) < 3:
        raise ImproperlyConfiguredMigration(
            f"Cache '{alias}': OLD and NEW must name two other entries of CACHES."
        )
    phase = os.environ.get(PHASE_VARIABLE, "").strip() or values["PHASE"]
    percent: Any = os.environ.get(PERCENT_VARIABLE, "").strip() or values["PERCENT"]
    try:
        return MigrationSettings(
            alias,
            old,
            new,
            parse_phase(phase),
            parse_percent(percent),
            parse_salt(values["SALT"]),
            _parse_interval(values["ROLLOUT_INTERVAL"]),
            bool(values["ROLLOUT_SHARED"]),
        )
    except ValueError as error:
        raise ImproperlyConfiguredMigration(f"Cache '{alias}': {error}") from None


def parse_phase(value: Any) -> Phase:
    """Return a phase. Raises ValueError."""
    try:
        return Phase(value)
    except ValueError:
        names = ", ".join(Phase)
        raise ValueError(f"the phase is {value!r}: write one of {names}.") from None


def parse_percent(value: object) -> float:
    """Return a percentage from a number or its text. Raises ValueError."""
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    if not 0 <= number <= 100:
        raise ValueError(f"the percentage is {value!r}: write a number from 0 to 100.")
    return number


def parse_salt(value: object) -> str:
    """Return a salt. Raises ValueError."""
    if not isinstance(value, str) or len(value) > _MAX_SALT:
        raise ValueError(f"SALT is {value!r}: write a text of at most {_MAX_SALT} characters.")
    return value


def _parse_interval(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"ROLLOUT_INTERVAL is {value!r}: write seconds, 0 or more.")
    return float(value)
