from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.health.overview import NO_HISTORY, read_overview
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

_MAX_COMMANDS = 8  # that are listed


@dataclass(frozen=True, slots=True)
class _Cost:
    """The cost of one alias's month.

    Attributes:
        month: what the alias did.
        bill: that of its database, which other aliases may use, too; None: there is no history.
        alternatives: what the same month costs in other plans.
    """

    alias: str
    month: Totals
    bill: Bill | None
    alternatives: list[Bill]


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
        costs = [_get_cost(each, options["plan"]) for each in caches_of(chosen(options))]
        if options["form"] == "json":
            self.stdout.write(as_json({"caches": [_as_dict(each) for each in costs]}))
        else:
            self.stdout.write("\n\n".join(map(_format, costs)))
        near = [
            each.alias for each in costs if each.bill and (each.bill.used_ratio or 0) >= WARN_RATIO
        ]
        if near and options["fail_on"]:
            refuse(f"Over {WARN_RATIO:.0%} of the month's commands: {', '.join(near)}.", DEGRADED)


def _get_cost(cache: UpstashBaseCache, plan: str | None) -> _Cost:
    config, now = cache.database.config, datetime.now(UTC)
    try:
        name = plan or get_pricing_plan_name(config.alias)
    except ConfigurationError as error:
        refuse(str(error))
    if config.mode == "local":
        return _Cost(config.alias, Totals(), project_bill(name, 0, now), _compare(name, 0, now))
    overview = cache.run(read_overview(cache, now=now))
    if overview.health.round_trip is None:
        refuse(f"{config.label}: {'; '.join(overview.health.errors)}")
    if overview.errors:
        refuse("; ".join(overview.errors))
    if overview.bill is None or overview.month is None:
        return _Cost(config.alias, Totals(), None, _compare(name, 0, now))
    commands = overview.bill.commands
    bill = project_bill(name, commands, now)
    return _Cost(config.alias, overview.month, bill, _compare(name, commands, now))


def _compare(name: str, commands: int, now: datetime) -> list[Bill]:
    """Return the bills of the other plans whose limit is sufficient."""
    bills = [project_bill(other, commands, now) for other in PRICING_PLANS if other != name]
    return [each for each in bills if each.limit is None or each.projected <= each.limit]


def _as_dict(cost: _Cost) -> dict[str, Any]:
    return {
        "alias": cost.alias,
        "bill": asdict(cost.bill) if cost.bill else None,
        "commands": cost.month.commands,
        "statistics_commands": cost.month.overhead,
        "other_plans": [asdict(each) for each in cost.alternatives],
    }


def _format(cost: _Cost) -> str:
    bill = cost.bill
    if bill is None:
        return f"{cost.alias}: {NO_HISTORY}"
    used = f" of {bill.limit:,} ({bill.used_ratio:.1%})" if bill.limit else ""
    own = cost.month.all_billed
    part = "" if own == bill.commands else f" of the database, {own:,} of them here"
    lines = [
        f"{cost.alias}: plan {bill.plan}, ${bill.dollars:,.2f} at the month's end",
        f"  billed       {bill.commands:,}{used} commands{part}",
        f"  projected    {bill.projected:,} commands",
        f"  statistics   {cost.month.overhead:,} of them",
    ]
    most = sorted(cost.month.commands.items(), key=lambda item: -item[1])[:_MAX_COMMANDS]
    lines += [f"  {name:<12} {count:,}" for name, count in most]
    cheapest = sorted(cost.alternatives, key=lambda each: each.dollars)[:2]
    lines += [f"  plan {each.plan:<7} ${each.dollars:,.2f}" for each in cheapest]
    return "\n".join(lines)
