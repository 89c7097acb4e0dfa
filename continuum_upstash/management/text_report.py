"""An overview as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from continuum_upstash.health.overview import NO_HISTORY, Overview
from continuum_upstash.plans.info import format_bytes
from continuum_upstash.stats.key_families import Family
from continuum_upstash.stats.totals import Totals


def sheet(overview: Overview, families: Sequence[Family] | None, spent: int) -> str:
    """Return the lines of one alias.

    Args:
        overview: of the alias.
        families: None: they are not known.
        spent: billed commands of this look.
    """
    rows = [*_state(overview), *_figures(overview), *_server(overview), *_bill(overview)]
    if families is not None:
        rows += [("families", _family(each)) for each in families] or [
            ("families", "none among the keys of the sample")
        ]
    rows.append(("this look", billed(spent)))
    rows += [("warning", text) for text in overview.health.warnings]
    rows += [("error", text) for text in (*overview.health.errors, *overview.errors)]
    head = f"{overview.health.label}: {overview.health.verdict}"
    return "\n".join([head, *(f"  {name:<12} {text}" for name, text in rows)])


def _state(overview: Overview) -> Iterable[tuple[str, str]]:
    status, trip = overview.health.status, overview.health.round_trip
    yield "answers", f"{status.backend} ({status.state}: {status.reason})"
    yield "round trip", "no answer" if trip is None else milliseconds(trip)
    if status.local_replies:
        yield "fallback", f"{status.local_replies:,} answers in the database's place"


def _figures(overview: Overview) -> Iterable[tuple[str, str]]:
    if overview.health.round_trip is None:
        return
    if overview.scope == "this process":  # which has done nothing but look
        yield "figures", NO_HISTORY
        return
    totals = overview.recent
    yield "figures", f"of all processes, last {_span(overview.period)}"
    yield "latency", _latency(totals)
    rate = totals.hit_rate
    found = f"({totals.hits:,} hits, {totals.misses:,} misses, {totals.sets:,} sets)"
    yield "hit rate", f"{_percent(rate)} {found}"
    errors = ", ".join(f"{count:,} {name}" for name, count in sorted(totals.errors.items()))
    yield "errors", errors or "none"


def _server(overview: Overview) -> Iterable[tuple[str, str]]:
    server = overview.health.server
    if server is None:
        return
    yield "keys", f"{server.keys:,} in the database"
    limit = f" of {format_bytes(server.memory_limit)}" if server.memory_limit else ""
    used = "" if server.memory_ratio is None else f" ({server.memory_ratio:.1%})"
    yield "memory", f"{format_bytes(server.memory)}{limit}{used}"
    yield "eviction", server.policy or "not told"


def _bill(overview: Overview) -> Iterable[tuple[str, str]]:
    today, bill = overview.today, overview.bill
    if bill is None:
        return
    own = f", {today.overhead:,} of them for statistics" if today.overhead else ""
    yield "today", f"{billed(today.all_billed)}{own}"
    limit = "" if bill.limit is None else f" of {bill.limit:,} ({_percent(bill.used_ratio)})"
    yield "this month", f"{bill.commands:,}{limit} billed commands, plan {bill.plan}"
    yield "projected", f"{bill.projected:,} commands, ${bill.dollars:,.2f} at the month's end"


def _family(family: Family) -> str:
    return f"{family.name} {family.share:.1%} ({family.seen:,})"


def _latency(totals: Totals) -> str:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    found = [(name, totals.estimate_quantile(share)) for share, name in shares]
    known = [f"{name} {milliseconds(value)}" for name, value in found if value is not None]
    return "  ".join(known) or "nothing was asked"


def billed(commands: int) -> str:
    return "1 billed command" if commands == 1 else f"{commands:,} billed commands"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _span(since: timedelta) -> str:
    whole = int(since.total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole % unit == 0:
            return f"{whole // unit}{name}"
    return f"{whole}s"
