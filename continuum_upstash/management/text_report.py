"""An overview as text for a terminal, with the labels and units of the panel."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from django.core.management.color import Style
from django.utils.translation import override

from continuum_upstash.errors import escape_unprintable
from continuum_upstash.health.overview import NO_HISTORY, Overview
from continuum_upstash.health.quantities import (
    format_bytes,
    format_milliseconds,
    format_percentage,
)
from continuum_upstash.stats.key_families import Family
from continuum_upstash.stats.totals import Totals

_COLUMNS: Final = 80


@override("en")
def render_overview(
    overview: Overview, families: Sequence[Family] | None, spent: int, style: Style
) -> str:
    """Return the text about one alias, in lines of at most 80 characters.

    Args:
        overview: of the alias.
        families: the largest key families; None: unknown or not requested.
        spent: billed commands that the overview itself used.
        style: the command's, which colours the verdict, warnings and errors on a terminal.
    """
    verdict = overview.health.verdict
    paint = {"ok": style.SUCCESS, "degraded": style.WARNING, "down": style.ERROR}[verdict]
    rows = [
        *_describe_state(overview),
        *_describe_statistics(overview),
        *_describe_server(overview),
        *_describe_bill(overview),
        *_describe_budget(overview),
    ]
    if families is not None:
        rows += [("Key family", _format_family(each)) for each in families] or [
            ("Key families", "none in the sample")
        ]
    rows.append(("This report", format_billed(spent)))
    problems = [("Warning", text, style.WARNING) for text in overview.health.warnings]
    problems += [
        ("Error", text, style.ERROR) for text in (*overview.health.errors, *overview.errors)
    ]
    lines = [paint(escape_unprintable(f"{overview.health.label}: {verdict}"))]
    lines += [format_row(name, text) for name, text in rows]
    lines += [paint_problem(format_row(name, text)) for name, text, paint_problem in problems]
    return "\n".join(lines)


def format_row(name: str, text: str) -> str:
    """Return a named text in lines of at most 80 characters, indented below its name."""
    return wrap(f"{name:<15} {text}", "  ", " " * 18)


def wrap(text: str, indent: str, next_indent: str) -> str:
    """Return the text in lines of at most 80 characters; a longer word has a line of its own."""
    return textwrap.fill(
        escape_unprintable(text),
        _COLUMNS,
        initial_indent=indent,
        subsequent_indent=next_indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def _describe_state(overview: Overview) -> Iterable[tuple[str, str]]:
    status, round_trip = overview.health.status, overview.health.round_trip
    yield "Backend", status.backend
    if overview.health.mode != "local":
        # Without a reply, the error states the reason.
        reason = f": {status.reason}" if status.reason and round_trip is not None else ""
        yield "Circuit breaker", f"{status.state}{reason}"
    yield "Round trip", "no reply" if round_trip is None else format_milliseconds(round_trip)
    if status.local_replies:
        yield "Served locally", f"{status.local_replies:,} batches"
    if status.dirty_keys:
        yield "Dirty keys", f"{status.dirty_keys:,}"
    if status.writes != "accepted":
        yield "Writes", f"refused: {status.writes.replace('_', '-')}"
    if status.pool_exhausted:
        yield "Pool exhausted", f"{status.pool_exhausted:,} calls; raise POOL_SIZE"


def _describe_statistics(overview: Overview) -> Iterable[tuple[str, str]]:
    if overview.health.round_trip is None:
        return
    if overview.scope == "this process":  # which has only read the overview
        yield "Statistics", NO_HISTORY
        return
    totals = overview.recent
    yield "Statistics", f"all processes, last {_format_period(overview.period)}"
    yield "Latency", _format_latency(totals)
    counts = f"({totals.hits:,} hits, {totals.misses:,} misses, {totals.sets:,} sets)"
    yield "Hit rate", f"{format_percentage(totals.hit_rate)} {counts}"
    if totals.near_hits:
        saved = f"{totals.near_saved:,} commands saved"
        yield "Near cache", f"{totals.near_hits:,} hits, {saved}"
    if totals.local_commands:
        yield "Local store", f"{totals.local_commands:,} commands served in place of the database"
    errors = ", ".join(f"{count:,} {name}" for name, count in sorted(totals.errors.items()))
    yield "Errors", errors or "none"


def _describe_server(overview: Overview) -> Iterable[tuple[str, str]]:
    server = overview.health.server
    if server is None:
        return
    place = "local store" if overview.health.mode == "local" else "database"
    yield "Keys", f"{server.keys:,} in the {place}"
    limit = ""
    if server.memory_limit:
        limit = f" of {format_bytes(server.memory_limit)}"
        limit += f" ({format_percentage(server.memory_ratio)})"
    yield "Memory", f"{format_bytes(server.memory)}{limit}"
    yield "Eviction policy", server.policy or "unknown"


def _describe_bill(overview: Overview) -> Iterable[tuple[str, str]]:
    today, bill = overview.today, overview.bill
    if bill is None:
        return
    own = f", {today.overhead:,} of them for statistics" if today.overhead else ""
    yield "Today", f"{format_billed(today.all_billed)}{own}"
    limit = ""
    if bill.limit is not None:
        limit = f" of {bill.limit:,} ({format_percentage(bill.used_ratio)})"
    yield "This month", f"{bill.commands:,}{limit} billed commands, pricing plan {bill.plan}"
    yield "Projected", bill.describe_projection()


def _describe_budget(overview: Overview) -> Iterable[tuple[str, str]]:
    budget = overview.health.status.budget
    if budget is not None:
        used = f"{budget.used:,} of {budget.limit:,} commands"
        yield "Budget", f"{used} ({format_percentage(budget.used_ratio)}), stage {budget.stage}"


def _format_family(family: Family) -> str:
    return f"{family.name} {format_percentage(family.share)} ({family.seen:,} keys)"


def _format_latency(totals: Totals) -> str:
    quantiles = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    values = [(name, totals.estimate_quantile(share)) for share, name in quantiles]
    known = [f"{name} {format_milliseconds(value)}" for name, value in values if value is not None]
    return "  ".join(known) or "no commands in this period"


def format_billed(commands: int) -> str:
    return "1 billed command" if commands == 1 else f"{commands:,} billed commands"


def _format_period(period: timedelta) -> str:
    seconds = int(period.total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % unit == 0:
            return f"{seconds // unit}{name}"
    return f"{seconds}s"
