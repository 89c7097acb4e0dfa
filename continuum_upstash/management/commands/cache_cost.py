from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.health.overview import NO_HISTORY, read_overview
from continuum_upstash.management.arguments import (
    DEGRADED,
    add_budget_option,
    add_cache_options,
    check_budget_option,
    fail,
    fail_above_budget,
    format_json,
    get_caches,
    select_aliases,
)
from continuum_upstash.management.text_report import format_percentage
from continuum_upstash.stats.pricing import (
    PRICING_PLANS,
    WARN_RATIO,
    Bill,
    get_pricing_plan_name,
    project_bill,
)
from continuum_upstash.stats.totals import Totals

_MAX_COMMANDS = 8  # in the list of the most frequent commands


@dataclass(frozen=True, slots=True)
class _Cost:
    """
    Attributes:
        month: this month's totals of the alias.
        bill: of its database, which other aliases may share; None: there is no history.
        alternatives: the bills for the same commands on other pricing plans.
    """

    alias: str
    month: Totals
    bill: Bill | None
    alternatives: list[Bill]


class Command(BaseCommand):
    help = (
        "Show the projected cost of the month's commands, which commands cause it, and the cost "
        "on other pricing plans. Storage, traffic and read regions are not included. Exit status "
        "0: success; 1: more than 80 % of the pricing plan's commands are used, with --fail-on "
        "limit, or the month costs more than --budget, with --fail-on cost; 2: the database is "
        "unreachable or the arguments are invalid."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_cache_options(parser)
        parser.add_argument("--format", choices=("table", "json"), default="table", dest="form")
        parser.add_argument(
            "--plan",
            choices=tuple(PRICING_PLANS),
            help="calculate for this pricing plan instead of the one in CONTINUUM_STATS",
        )
        parser.add_argument(
            "--fail-on",
            choices=("limit", "cost"),
            help="exit with status 1 if more than 80 %% of the pricing plan's commands are used, "
            "or if the month costs more than --budget",
        )
        add_budget_option(parser)

    def handle(self, **options: Any) -> None:
        check_budget_option(options)
        caches = get_caches(select_aliases(options))
        costs = [_read_cost(each, options["plan"]) for each in caches]
        if options["form"] == "json":
            self.stdout.write(format_json({"caches": [_as_dict(each) for each in costs]}))
        else:
            self.stdout.write("\n\n".join(map(_format, costs)))
        if options["budget"] is not None:
            fail_above_budget({each.alias: each.bill for each in costs}, options["budget"])
            return
        near_limit = [
            each.alias for each in costs if each.bill and (each.bill.used_ratio or 0) >= WARN_RATIO
        ]
        if near_limit and options["fail_on"]:
            fail(
                f"More than {WARN_RATIO * 100:.0f} % of the month's commands are used: "
                f"{', '.join(near_limit)}.",
                DEGRADED,
            )


def _read_cost(cache: UpstashBaseCache, plan: str | None) -> _Cost:
    config, now = cache.database.config, datetime.now(UTC)
    try:
        name = plan or get_pricing_plan_name(config.alias)
    except ConfigurationError as error:
        fail(str(error))
    if config.mode == "local":
        bill = project_bill(name, 0, now)
        return _Cost(config.alias, Totals(), bill, _compare(bill))
    overview = cache.run(read_overview(cache, now=now))
    if overview.health.round_trip is None:
        fail(f"{config.label}: {'; '.join(overview.health.errors)}")
    if overview.errors:
        fail("; ".join(overview.errors))
    if overview.bill is None or overview.month is None:
        return _Cost(config.alias, Totals(), None, _compare(project_bill(name, 0, now)))
    bill = overview.bill.on_plan(name)
    return _Cost(config.alias, overview.month, bill, _compare(bill))


def _compare(bill: Bill) -> list[Bill]:
    """Return the bills on the other pricing plans whose limit is sufficient."""
    bills = [bill.on_plan(other) for other in PRICING_PLANS if other != bill.plan]
    return [each for each in bills if each.limit is None or each.projected <= each.limit]


def _as_dict(cost: _Cost) -> dict[str, Any]:
    return {
        "alias": cost.alias,
        "bill": cost.bill.as_dict() if cost.bill else None,
        "commands": cost.month.commands,
        "statistics_commands": cost.month.overhead,
        "other_plans": [each.as_dict() for each in cost.alternatives],
    }


def _format(cost: _Cost) -> str:
    bill = cost.bill
    if bill is None:
        return f"{cost.alias}: {NO_HISTORY}"
    limit = f" of {bill.limit:,} ({format_percentage(bill.used_ratio)})" if bill.limit else ""
    own = cost.month.all_billed
    part = "" if own == bill.commands else f" of the database, {own:,} of them by this cache"
    rows = [
        ("This month", f"{bill.commands:,}{limit} billed commands{part}"),
        ("Projected", bill.describe_projection()),
        ("Statistics", f"{cost.month.overhead:,} of the billed commands"),
    ]
    frequent = sorted(cost.month.commands.items(), key=lambda item: -item[1])[:_MAX_COMMANDS]
    rows += [(name, f"{count:,}") for name, count in frequent]
    title = f"{cost.alias}: pricing plan {bill.plan}"
    if not bill.is_early:
        cheapest = sorted(cost.alternatives, key=lambda each: each.dollars)[:2]
        rows += [(f"Plan {each.plan}", f"${each.dollars:,.2f} for the month") for each in cheapest]
        title += f", ${bill.dollars:,.2f} for the month"
    return "\n".join([title, *(f"  {name:<15} {text}" for name, text in rows)])
