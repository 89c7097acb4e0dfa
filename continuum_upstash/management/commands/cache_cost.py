from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.monthly_usage import Month
from continuum_upstash.health.overview import NO_HISTORY, Overseer
from continuum_upstash.management.arguments import (
    DEGRADED,
    add_caches,
    as_json,
    caches_of,
    chosen,
    refuse,
)
from continuum_upstash.stats.pricing import (
    PRICING_PLANS,
    WARN_RATIO,
    Bill,
    get_pricing_plan_name,
    project_bill,
)
from continuum_upstash.stats.totals import Totals

_MOST = 8  # commands that are listed


@dataclass(frozen=True, slots=True)
class _Month:
    """
    Attributes:
        totals: what the alias did.
        bill: its database's, of which other aliases may have a part.
        known: whether there is a history, or nothing to count: in local mode.
    """

    alias: str
    totals: Totals
    bill: Bill
    others: list[Bill]
    known: bool


class Command(BaseCommand):
    help = (
        "Show what the month's commands cost, where they come from, and what other plans would "
        "cost. Storage, traffic and read regions are not known here. Exit code 0: fine; 1: over "
        "80 % of the plan's commands, with --fail-on limit; 2: unreachable, or wrong arguments."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_caches(parser)
        parser.add_argument("--format", choices=("table", "json"), default="table", dest="form")
        parser.add_argument(
            "--plan", choices=tuple(PRICING_PLANS), help="instead of CONTINUUM_STATS'"
        )
        parser.add_argument("--fail-on", choices=("limit",), help="exit with 1 near the limit")

    def handle(self, **options: Any) -> None:
        months = [_month(each, options["plan"]) for each in caches_of(chosen(options))]
        if options["form"] == "json":
            self.stdout.write(as_json({"caches": [_entry(each) for each in months]}))
        else:
            self.stdout.write("\n\n".join(map(_sheet, months)))
        near = [each.alias for each in months if (each.bill.used_ratio or 0) >= WARN_RATIO]
        if near and options["fail_on"]:
            refuse(f"Over {WARN_RATIO:.0%} of the month's commands: {', '.join(near)}.", DEGRADED)


def _month(cache: UpstashBaseCache, plan: str | None) -> _Month:
    config, now, totals, commands = cache.database.config, datetime.now(UTC), Totals(), 0
    try:
        name, known = plan or get_pricing_plan_name(config.alias), True
        if config.mode != "local":
            overview = Overseer(cache).overview(timedelta(hours=1), now)
            if overview.report.round_trip is None:
                refuse(f"{config.label}: {'; '.join(overview.report.errors)}")
            if overview.errors:
                refuse("; ".join(overview.errors))
            known = overview.scope == "all processes"
            if overview.bill is not None:
                commands = overview.bill.commands
                totals += overview.today
                totals += Month(cache).earlier(now)
    except ContinuumError as error:
        refuse(str(error))
    others = [project_bill(other, commands, now) for other in PRICING_PLANS if other != name]
    return _Month(config.alias, totals, project_bill(name, commands, now), others, known)


def _entry(month: _Month) -> dict[str, Any]:
    return {
        "alias": month.alias,
        "bill": asdict(month.bill) if month.known else None,
        "commands": month.totals.commands,
        "statistics_commands": month.totals.overhead,
        "other_plans": [asdict(each) for each in _possible(month)],
    }


def _sheet(month: _Month) -> str:
    if not month.known:
        return f"{month.alias}: {NO_HISTORY}"
    used = f" of {month.bill.limit:,} ({month.bill.used_ratio:.1%})" if month.bill.limit else ""
    lines = [
        f"{month.alias}: plan {month.bill.plan}, ${month.bill.dollars:,.2f} at the month's end",
        f"  billed       {month.bill.commands:,}{used} commands{_part(month)}",
        f"  projected    {month.bill.projected:,} commands",
        f"  statistics   {month.totals.overhead:,} of them",
    ]
    most = sorted(month.totals.commands.items(), key=lambda item: -item[1])[:_MOST]
    lines += [f"  {name:<12} {count:,}" for name, count in most]
    cheapest = sorted(_possible(month), key=lambda each: each.dollars)[:2]
    lines += [f"  plan {each.plan:<7} ${each.dollars:,.2f}" for each in cheapest]
    return "\n".join(lines)


def _part(month: _Month) -> str:
    own = month.totals.billed + month.totals.overhead
    return "" if own == month.bill.commands else f" of the database, {own:,} of them here"


def _possible(month: _Month) -> list[Bill]:
    """Return the plans whose limit such a month keeps."""
    return [each for each in month.others if each.limit is None or each.projected <= each.limit]
