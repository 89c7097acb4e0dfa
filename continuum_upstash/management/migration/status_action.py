"""``manage.py cache_migrate status``."""

from __future__ import annotations

import calendar
import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.overview import NO_HISTORY, read_overview
from continuum_upstash.health.quantities import format_percentage
from continuum_upstash.management.arguments import (
    DEGRADED,
    fail,
    parse_positive_int,
    parse_seconds,
)
from continuum_upstash.management.migration.output import Output
from continuum_upstash.management.migration.rollout_actions import (
    describe_rollout,
    format_rollout,
    load_rollout,
)
from continuum_upstash.management.migration.selection import select_migrating_alias
from continuum_upstash.management.migration.verify_action import parse_percentage
from continuum_upstash.migration.conf import PHASE_VARIABLE, MigrationSettings, get_settings
from continuum_upstash.migration.counters import MigrationCounts, SideCounts, read_counts
from continuum_upstash.migration.rollout import get_new_cache
from continuum_upstash.migration.stored_rollout import StoredRollout
from continuum_upstash.migration.verdict import Limits, Verdict, judge, project_commands
from continuum_upstash.stats.bill import Bill

_HOUR: Final = 3600
_MAX_HOURS: Final = 48
_DEFAULTS: Final = Limits()


def add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--cache", metavar="ALIAS", help="an alias of MigratingCache (default: the only one)")
    add(
        "--hours",
        type=parse_positive_int,
        default=1,
        metavar="N",
        help="count the present hour and N before it, up to 47 (default: 1)",
    )
    for name, limit, text in (
        ("--max-mismatches", _DEFAULTS.mismatch_rate, "of the compared values that differ"),
        ("--max-errors", _DEFAULTS.error_rate, "of the calls of the new cache that fail"),
        ("--max-old-only", _DEFAULTS.old_only_rate, "of the keys in the old cache only"),
    ):
        add(
            name,
            type=parse_percentage,
            default=limit * 100,
            metavar="P",
            help=f"the largest percentage {text} (default: {limit * 100:g})",
        )
    add(
        "--max-latency",
        type=parse_positive_int,
        default=int(_DEFAULTS.added_latency_ms),
        metavar="MS",
        help="how many milliseconds more a read may take in the new cache (default: 10)",
    )
    add("--min-reads", type=parse_positive_int, default=_DEFAULTS.reads, metavar="N")
    add(
        "--min-age",
        type=parse_seconds,
        default=int(_DEFAULTS.age),
        metavar="T",
        help="the least time since the phase was set (default: 30m)",
    )


class StatusAction:
    """
    Args:
        command: what writes to stdout and stderr.
        options: the parsed options.
    """

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self._output, self._options = Output(command, options), options

    def run(self) -> None:
        alias = select_migrating_alias(self._options["cache"])
        hours = min(self._options["hours"] + 1, _MAX_HOURS)
        now = datetime.now(UTC)
        try:
            settings = get_settings(alias)
            stored = load_rollout(settings)
            counts = read_counts(alias, hours)
            cache = get_new_cache(settings)
            bill = cache.run(read_overview(cache, now=now)).bill
        except (ContinuumError, ImproperlyConfigured) as error:
            fail(str(error))
        seconds = (hours - 1) * _HOUR + time.time() % _HOUR
        future = _project(stored, counts, seconds, bill, now)
        age = time.time() - stored.changed_at if stored.changed_at else None
        verdict = judge(stored.rollout, age, counts, self._make_limits())
        values = _make_values(settings, stored, counts, seconds, verdict)
        values |= {"bill": bill and bill.as_dict(), "bill_in_new_only": future and future.as_dict()}
        self._output.write_result(values, _format(values, stored, verdict, bill, future))
        if not verdict.is_go:
            fail(f"The next step is not recommended: {_list_reasons(verdict)}.", DEGRADED)

    def _make_limits(self) -> Limits:
        options = self._options
        return Limits(
            mismatch_rate=options["max_mismatches"] / 100,
            error_rate=options["max_errors"] / 100,
            added_latency_ms=options["max_latency"],
            old_only_rate=options["max_old_only"] / 100,
            reads=options["min_reads"],
            age=options["min_age"],
        )


def _project(
    stored: StoredRollout,
    counts: MigrationCounts,
    seconds: float,
    bill: Bill | None,
    now: datetime,
) -> Bill | None:
    """Return the bill of a month in the phase ``new_only``; None: unknown."""
    if bill is None or bill.is_early:
        return None
    month = calendar.monthrange(now.year, now.month)[1] * 86400.0
    commands = project_commands(stored.rollout, counts, seconds, bill.projected, month)
    added = commands - bill.projected
    changed = replace(bill, projected=commands, least=bill.least + added, most=bill.most + added)
    return changed.on_plan(bill.plan)


def _make_values(
    settings: MigrationSettings,
    stored: StoredRollout,
    counts: MigrationCounts,
    seconds: float,
    verdict: Verdict,
) -> dict[str, Any]:
    return {
        "alias": settings.alias,
        "old": settings.old,
        "new": settings.new,
        **format_rollout(stored.rollout),
        "source": _find_source(stored),
        "changed_at": stored.changed_at or None,
        "counted_seconds": round(seconds),
        "sides": {"old": _make_side(counts.old), "new": _make_side(counts.new)},
        "compared": counts.compared,
        "mismatches": counts.mismatches,
        "filled": counts.filled,
        "lost_deletes": counts.lost_deletes,
        "verdict": "go" if verdict.is_go else "no-go",
        "next_step": verdict.next_step,
        "findings": [each._asdict() for each in verdict.findings],
    }


def _find_source(stored: StoredRollout) -> str:
    """Return what determines the rollout."""
    if stored.rollout.is_shared:
        return "shared rollout"
    return PHASE_VARIABLE if os.environ.get(PHASE_VARIABLE, "").strip() else "OPTIONS"


def _make_side(side: SideCounts) -> dict[str, Any]:
    keys, reads = side.hits + side.misses, sum(side.latencies)
    calls = reads + side.errors
    return {
        **{name: value for name, value in asdict(side).items() if name != "latencies"},
        "reads": reads,
        "hit_rate": side.hits / keys if keys else None,
        "error_rate": side.errors / calls if calls else None,
        "p50_ms": side.estimate_latency_ms(0.5),
        "p95_ms": side.estimate_latency_ms(0.95),
    }


def _format(
    values: dict[str, Any],
    stored: StoredRollout,
    verdict: Verdict,
    bill: Bill | None,
    future: Bill | None,
) -> Iterator[str]:
    yield f"{values['alias']}: from {values['old']} to {values['new']}"
    changed = ""
    if stored.changed_at:
        changed = f", the phase since {(time.time() - stored.changed_at) / 60:,.0f} min"
    yield f"  Rollout     {describe_rollout(stored.rollout)} (by {values['source']}{changed})"
    minutes = f"{values['counted_seconds'] / 60:,.0f} min"
    yield f"  Counted     what all processes did in the last {minutes}, in any phase"
    for name, side in values["sides"].items():
        yield f"  {name.capitalize():<11} {_format_side(side)}"
    rate = values["mismatches"] / values["compared"] if values["compared"] else None
    yield f"  Compared    {values['compared']:,} keys, {format_percentage(rate)} of them differ"
    yield f"  Back-filled {values['filled']:,} keys"
    yield f"  This month  {bill.describe_projection() if bill else NO_HISTORY}"
    if future is not None:
        yield f"  In new_only {future.describe_projection()}"
    yield f"Verdict: {values['verdict']}"
    for finding in verdict.findings:
        yield f"  {'ok ' if finding.is_met else 'NO '} {finding.text}"
    if verdict.next_step:
        yield f"Next step: manage.py cache_migrate {verdict.next_step}"


def _format_side(side: dict[str, Any]) -> str:
    latency = "no reads"
    if side["p95_ms"] is not None:
        latency = f"p50 {side['p50_ms']:g} ms, p95 {side['p95_ms']:g} ms"
    return (
        f"{side['reads']:,} reads, hit rate {format_percentage(side['hit_rate'])}, {latency}, "
        f"{side['errors']:,} errors ({format_percentage(side['error_rate'])})"
    )


def _list_reasons(verdict: Verdict) -> str:
    return "; ".join(each.text for each in verdict.findings if not each.is_met)
