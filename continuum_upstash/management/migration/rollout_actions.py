"""``manage.py cache_migrate set-percent``, ``set-phase`` and ``rollback``."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand
from django.utils import timezone

from continuum_upstash.errors import ContinuumError
from continuum_upstash.management.arguments import DEGRADED, fail
from continuum_upstash.management.migration.output import Output
from continuum_upstash.management.migration.selection import select_migrating_alias
from continuum_upstash.migration.conf import MigrationSettings, Phase, get_settings, parse_percent
from continuum_upstash.migration.rollout import (
    get_new_cache,
    read_stored_rollout,
    write_rollout,
)
from continuum_upstash.migration.stored_rollout import (
    Rollout,
    RolloutRefused,
    StoredRollout,
    check_change,
)

_USES_PERCENT: Final = frozenset({Phase.SHADOW, Phase.CANARY})


def add_percent_options(parser: ArgumentParser) -> None:
    parser.add_argument("percent", type=_parse_percent, help="a number from 0 to 100")
    _add_options(parser)


def add_phase_options(parser: ArgumentParser) -> None:
    parser.add_argument("phase", type=Phase, choices=[*Phase], metavar="PHASE", help=_list_phases())
    parser.add_argument("--percent", type=_parse_percent, help="also set the percentage")
    _add_options(parser)


def add_rollback_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        dest="phase",
        type=Phase,
        choices=[Phase.SHADOW, Phase.OFF],
        default=Phase.SHADOW,
        metavar="PHASE",
        help="shadow (default: writes still go to both caches) or off",
    )
    _add_options(parser)


def _add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--cache", metavar="ALIAS", help="an alias of MigratingCache (default: the only one)")
    add("--dry-run", action="store_true", help="only say what would change")
    add("--force", action="store_true", help="change it even if reads may return outdated values")


def _list_phases() -> str:
    return ", ".join(Phase)


def _parse_percent(text: str) -> float:
    try:
        return parse_percent(text.removesuffix("%"))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


class RolloutAction:
    """Changes the shared rollout.

    Args:
        command: what writes to stdout and stderr.
        options: the parsed options.
    """

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self._output, self._options = Output(command, options), options

    def run(self) -> None:
        alias = select_migrating_alias(self._options["cache"])
        try:
            settings = get_settings(alias)
            label = get_new_cache(settings).database.config.label
            before = load_rollout(settings)
            after = self._change(settings, before)
        except RolloutRefused as error:
            fail(f"Nothing was changed. {error}", DEGRADED)
        except (ContinuumError, ImproperlyConfigured) as error:
            fail(str(error))
        self._write(settings, label, before.rollout, after)

    def _change(self, settings: MigrationSettings, before: StoredRollout) -> Rollout:
        if not settings.shared:
            fail(
                f"Cache '{settings.alias}': ROLLOUT_SHARED is False, so the phase and the "
                "percentage are those of OPTIONS or of the environment: change them there."
            )
        phase, percent = self._options.get("phase"), self._options.get("percent")
        force = self._options["force"]
        if not self._options["dry_run"]:
            return write_rollout(settings.alias, phase=phase, percent=percent, force=force)
        after = before.rollout
        after = replace(
            after,
            phase=after.phase if phase is None else phase,
            percent=after.percent if percent is None else percent,
            is_shared=True,
        )
        if not force:
            check_change(before, StoredRollout(after, time.time()), settings.interval)
        return after

    def _write(
        self, settings: MigrationSettings, label: str, before: Rollout, after: Rollout
    ) -> None:
        dry_run = self._options["dry_run"]
        # A process may just have read the rollout before, see `check_change`.
        seconds = 2 * settings.interval
        known_at = timezone.now() + timedelta(seconds=seconds)
        values = {
            "alias": settings.alias,
            "before": format_rollout(before),
            "after": format_rollout(after),
            "dry_run": dry_run,
            "known_to_all_processes_at": None if dry_run else known_at.isoformat(),
        }
        lines = self._describe(label, before, after)
        if not dry_run:
            at = timezone.localtime(known_at) if timezone.is_aware(known_at) else known_at
            lines.append(
                f"All processes use it from {at:%H:%M:%S} on, {seconds:g} s from now; a process "
                "that cannot reach the database keeps its rollout."
            )
        self._output.write_result(values, lines)

    def _describe(self, label: str, before: Rollout, after: Rollout) -> list[str]:
        verb = "Would be stored" if self._options["dry_run"] else "Stored"
        lines = [
            f"{verb} in {label}: {describe_rollout(after)} (before: {describe_rollout(before)})."
        ]
        if after.phase not in _USES_PERCENT and self._options.get("percent") is not None:
            lines.append(f"In the phase {after.phase} the percentage has no effect.")
        return lines


def load_rollout(settings: MigrationSettings) -> StoredRollout:
    """Return the shared rollout, or that of OPTIONS and environment, which is not `is_shared`.

    Raises:
        ContinuumError: the new database could not be read.
    """
    stored = read_stored_rollout(settings.alias) if settings.shared else None
    configured = Rollout(settings.phase, settings.percent, settings.salt)
    return StoredRollout(configured, 0.0) if stored is None else stored


def format_rollout(rollout: Rollout) -> dict[str, Any]:
    """Return JSON values."""
    return {"phase": str(rollout.phase), "percent": rollout.percent, "salt": rollout.salt}


def describe_rollout(rollout: Rollout) -> str:
    """Return the phase as text, with the percentage where it has an effect."""
    share = f", {rollout.percent:g} %" if rollout.phase in _USES_PERCENT else ""
    return f"phase {rollout.phase}{share}"


ADD_OPTIONS: Final[dict[str, tuple[str, Callable[[ArgumentParser], None]]]] = {
    "set-percent": ("Set the share of the keys that use the new cache.", add_percent_options),
    "set-phase": ("Set the phase of the migration.", add_phase_options),
    "rollback": ("Read the old cache again.", add_rollback_options),
}
