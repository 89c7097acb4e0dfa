from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import override

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ContinuumError, escape_unprintable
from continuum_upstash.health.account import Account, Comparison, compare, read_account
from continuum_upstash.health.overview import NO_HISTORY, Overview, read_overview
from continuum_upstash.health.quantities import format_bytes, format_percentage
from continuum_upstash.health.savings import SavingsReport, find_savings
from continuum_upstash.management.arguments import (
    DEGRADED,
    add_budget_option,
    add_cache_options,
    check_budget_option,
    fail,
    fail_above_budget,
    format_json,
    get_caches,
    parse_positive_int,
    select_aliases,
)
from continuum_upstash.management.idle_worker import estimate_idle_worker
from continuum_upstash.management.text_report import format_row
from continuum_upstash.stats.bill import Bill, project_bill
from continuum_upstash.stats.pricing import (
    PRICES_DATE,
    PRICING_PLANS,
    WARN_RATIO,
    get_pricing_plan_name,
    get_terms,
)
from continuum_upstash.stats.totals import Totals

_MAX_SAVINGS = 3  # without --savings
_MAX_COMMANDS = 8  # in the list of the most frequent commands


@dataclass(frozen=True, slots=True)
class _Cost:
    """
    Attributes:
        month: this month's totals of the alias.
        bill: of its database, which other aliases may share; None: there is no history.
        alternatives: the bills for the same use on the other sufficient pricing plans.
        account: what Upstash's Developer API says; None: nothing.
        comparison: our figures beside the account's.
        account_error: why the account's figures are missing.
        report: the savings; None: there is no history.
        error: why there are no figures at all.
        is_local: there is no database.
    """

    alias: str
    month: Totals
    bill: Bill | None
    alternatives: list[Bill]
    account: Account | None = None
    comparison: Comparison | None = None
    account_error: str = ""
    report: SavingsReport | None = None
    error: str = ""
    is_local: bool = False


class Command(BaseCommand):
    help = (
        "Show the projected cost of the month, which commands cause it, and the cost on other "
        "pricing plans; beside it the figures of the Upstash account, with UPSTASH_EMAIL and "
        "UPSTASH_API_KEY. Exit status 0: success; 1: more than 80 % of the pricing plan's commands "
        "are used, with --fail-on limit, or the month costs more than --budget, with --fail-on "
        "cost; 2: the database is unreachable or the arguments are invalid."
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
            "--savings",
            action="store_true",
            help="show all savings with what to do, and the cost of more users",
        )
        parser.add_argument(
            "--users",
            type=parse_positive_int,
            metavar="N",
            help="the users per month, for the cost of more users",
        )
        parser.add_argument(
            "--fail-on",
            choices=("limit", "cost"),
            help="exit with status 1 if more than 80 %% of the pricing plan's commands are used, "
            "or if the month costs more than --budget",
        )
        add_budget_option(parser)

    @override("en")
    def handle(self, **options: Any) -> None:
        check_budget_option(options)
        caches = get_caches(select_aliases(options))
        costs = [_read_cost(each, options["plan"], options["users"]) for each in caches]
        if options["form"] == "json":
            self.stdout.write(format_json({"caches": [_as_dict(each) for each in costs]}))
        else:
            full = options["savings"] or options["users"] is not None
            self.stdout.write("\n\n".join(_format(each, full=full) for each in costs))
        unknown = [each.alias for each in costs if each.error]
        if unknown:
            fail(f"There are no figures of {', '.join(unknown)}.")
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


def _read_cost(cache: UpstashBaseCache, plan: str | None, users: int | None) -> _Cost:
    config, now = cache.database.config, datetime.now(UTC)
    try:
        name, terms = plan or get_pricing_plan_name(config.alias), get_terms(config.alias)
        if config.mode == "local":
            bill = project_bill(name, 0, now)
            return _Cost(config.alias, Totals(), bill, _compare_plans(bill), is_local=True)
    except ConfigurationError as error:
        fail(str(error))
    overview = cache.run(read_overview(cache, now=now))
    errors = overview.health.errors if overview.health.round_trip is None else overview.errors
    if errors:
        return _Cost(config.alias, Totals(), None, [], error="; ".join(errors))
    if overview.bill is None or overview.month is None:
        bill = project_bill(name, 0, now, terms)
        return _Cost(config.alias, Totals(), None, _compare_plans(bill), **_read_account(cache))
    bill = overview.bill.on_plan(name)
    found = _read_account(cache, overview)
    found["report"] = find_savings(bill, overview.month, users)
    return _Cost(config.alias, overview.month, bill, _compare_plans(bill), **found)


def _read_account(cache: UpstashBaseCache, overview: Overview | None = None) -> dict[str, Any]:
    """Return the entries of a _Cost that the account decides."""
    try:
        account = read_account(cache.database)
    except ContinuumError as error:
        return {"account_error": str(error)}
    if overview is None or overview.bill is None or overview.month is None:
        return {"account": account}
    compared = compare(overview.bill, account, overview.month, overview.today)
    return {"account": account, "comparison": compared}


def _compare_plans(bill: Bill) -> list[Bill]:
    """Return the bills on the other pricing plans whose limits are sufficient."""
    bills = [bill.on_plan(other) for other in PRICING_PLANS if other != bill.plan]
    return [each for each in bills if each.is_sufficient]


def _as_dict(cost: _Cost) -> dict[str, Any]:
    worker = estimate_idle_worker(cost.alias)
    return {
        "alias": cost.alias,
        "bill": cost.bill.as_dict() if cost.bill else None,
        "commands": cost.month.commands,
        "statistics_commands": cost.month.overhead,
        "other_plans": [each.as_dict() for each in cost.alternatives],
        "prices_of": PRICES_DATE,
        "account": cost.account.as_dict() if cost.account else None,
        "comparison": cost.comparison.as_dict() if cost.comparison else None,
        "account_error": cost.account_error,
        "report": cost.report.as_dict() if cost.report else None,
        "error": cost.error,
        "idle_worker": worker.as_dict() if worker else None,
    }


def _format(cost: _Cost, *, full: bool) -> str:
    if cost.error:
        return f"{cost.alias}: no figures\n{format_row('Error', cost.error)}"
    if cost.is_local:
        reason = "no database is configured: each process has a separate local store"
        return f"{cost.alias}: no cost\n{format_row('Database', reason)}"
    bill = cost.bill
    title, rows = f"{cost.alias}: no figures yet", list[tuple[str, str]]()
    if bill is None:
        rows.append(("Statistics", NO_HISTORY))
    else:
        title = f"{cost.alias}: pricing plan {bill.plan}"
        title += "" if bill.is_early else f", ${bill.dollars:,.2f} for the month"
        rows += _describe_bill(cost, bill)
    rows += _describe_account(cost)
    worker = estimate_idle_worker(cost.alias)
    if worker is not None:
        rows.append(("Idle worker", worker.describe()))
    if cost.report is not None:
        rows += _describe_savings(cost.report, full=full)
    return "\n".join((escape_unprintable(title), *(format_row(*row) for row in rows)))


def _describe_bill(cost: _Cost, bill: Bill) -> Iterator[tuple[str, str]]:
    limit = f" of {bill.limit:,} ({format_percentage(bill.used_ratio)})" if bill.limit else ""
    own = cost.month.all_billed
    part = "" if own == bill.commands else f" of the database, {own:,} of them by this cache"
    yield "This month", f"{bill.commands:,}{limit} billed commands{part}"
    yield "Projected", bill.describe_projection()
    if not bill.is_early:
        paid = [f"{name} ${dollars:,.2f}" for name, dollars in bill.prices.items() if dollars]
        yield "Price", f"{', '.join(paid) or '$0.00'} (prices of {PRICES_DATE})"
        traffic = f"{format_bytes(bill.traffic)} of keys and values in the month"
        yield "Use", f"{format_bytes(bill.storage)} stored, {traffic}"
        if bill.exceeded:
            yield "Exceeded", f"the plan's {', '.join(bill.exceeded)}"
    yield "Statistics", f"{cost.month.overhead:,} of the billed commands"
    for name, count in cost.month.list_billed_commands()[:_MAX_COMMANDS]:
        yield name, f"{count:,}"
    if not bill.is_early:
        for each in sorted(cost.alternatives, key=lambda each: each.dollars)[:2]:
            yield f"Plan {each.plan}", f"${each.dollars:,.2f} for the month"


def _describe_account(cost: _Cost) -> Iterator[tuple[str, str]]:
    account = cost.account
    if account is None:
        if cost.account_error:
            yield "Estimate", f"by the statistics of this site. The account: {cost.account_error}"
        return
    known, usage = account.database, account.usage
    detail = (
        f"{usage.commands:,} billed commands, ${usage.dollars:,.2f} so far, "
        f"{format_bytes(usage.storage)} stored; pricing plan {known.plan}, {known.state}, "
        f"read regions: {len(known.read_regions)}"
    )
    yield "Account", detail
    projected = account.project(datetime.now(UTC))
    if projected is not None:
        yield "", f"projected from its figures: {projected.describe_projection()}"
    if cost.comparison is not None:
        yield "Difference", cost.comparison.describe()
        for reason in cost.comparison.reasons:
            yield "", reason


def _describe_savings(report: SavingsReport, *, full: bool) -> Iterator[tuple[str, str]]:
    """Yield the three largest savings, or all, with their documentation and the cost of growth."""
    for each in report.savings[: None if full else _MAX_SAVINGS]:
        commands = f", {each.commands:,} commands" if each.commands else ""
        yield "Saving", f"${each.dollars:,.2f} a month{commands}: {each.advice}"
        if full:
            yield "", f"see {each.docs}"
    if not full:
        return
    if not report.sampled:
        yield "Savings", "key families and code paths are unknown: set CONTINUUM_STATS['SAMPLE']"
    for grown in report.growth:
        users = "" if grown.users is None else f"{grown.users:,} users, "
        price = "limits exceeded" if grown.dollars is None else f"${grown.dollars:,.2f}"
        cheapest = f"cheapest plan: {grown.cheapest}, ${grown.cheapest_dollars:,.2f}"
        yield f"Use x {grown.factor}", f"{users}{grown.commands:,} commands: {price}; {cheapest}"
