"""The account's own figures of a database beside those of the shared statistics."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from typing import Any, Final

from django.utils.translation import gettext as _

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.developer_api import (
    AccountDatabase,
    AccountUnavailable,
    AccountUsage,
    load_developer_api,
)
from continuum_upstash.health.findings import Finding, Outcome
from continuum_upstash.health.overview import Overview
from continuum_upstash.health.probe import MEMORY_WARN_RATIO
from continuum_upstash.health.quantities import format_count, format_percentage
from continuum_upstash.sessions.conf import conf as session_conf
from continuum_upstash.stats.bill import Bill, MonthlyUsage, project_bill
from continuum_upstash.stats.pricing import PRICING_PLANS, WARN_RATIO, Terms
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.registry import Database

CACHE_SECONDS: Final = 900.0  # how long a process keeps the account's figures, or the error
_SAME_SHARE: Final = 0.02  # a smaller difference is not explained: the figures are of two moments
_SAME_COMMANDS: Final = 20
_UNLIMITED: Final = 10**15  # a plan without a limit of commands reports more
_PLANS: Final = {"paid": "payg", "pay_as_you_go": "payg"}


@dataclass(frozen=True, slots=True)
class Account:
    """What the account says about a database."""

    database: AccountDatabase
    usage: AccountUsage

    @property
    def plan(self) -> str | None:
        """The database's plan as a name in PRICING_PLANS; None: an unknown one."""
        name = self.database.plan.lower().removeprefix("fixed_")
        name = _PLANS.get(name, name)
        return name if name in PRICING_PLANS else None

    def project(self, now: datetime) -> Bill | None:
        """Return the month's bill, projected from the account's own figures.

        They begin with the month, or with the database: earlier than the statistics, perhaps. None:
        the pricing plan is unknown, or the database is less than an hour old.
        """
        if self.plan is None:
            return None
        known, usage = self.database, self.usage
        created = datetime.fromtimestamp(min(known.created, now.timestamp()), UTC)
        recorded = MonthlyUsage(
            usage.commands,
            first_hour=created - timedelta(hours=1),  # the hour after it is recorded completely
            traffic=usage.traffic,
            storage=usage.storage,
        )
        bill = project_bill(self.plan, recorded, now)
        if bill.is_early:
            return None
        # The account's commands already include those of the read regions.
        regions = len(known.read_regions)
        bill = replace(bill, regions=regions, prod_pack=known.prod_pack)
        return bill.on_plan(self.plan)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        bill = self.project(datetime.now(UTC))
        return {
            "database": asdict(self.database),
            "usage": asdict(self.usage),
            "projected_commands": bill and bill.projected,
            "projected_dollars": bill and bill.dollars,
        }


@dataclass(slots=True)
class _CachedAccount:
    """The last result for one database."""

    at: float = -inf
    result: Account | ContinuumError | None = None


def read_account(database: Database, *, max_age: float = 0.0) -> Account:
    """Return the account's figures of a database; not billed.

    Args:
        database: of an alias.
        max_age: seconds; a result of this process that is not older is returned again, and so is
            an error.

    Raises:
        AccountUnavailable: there are no credentials, or the API cannot be used.
        ConfigurationError: the URL or the proxy of the API is invalid.
    """
    cached, now = database.extras.get(_CachedAccount), monotonic()
    if cached.result is None or now - cached.at >= max_age:
        cached.at = now
        try:
            if database.config.mode == "local":
                raise AccountUnavailable("the alias has no database")
            api = load_developer_api()
            cached.result = Account(*api.read(database.config.host))
        except ContinuumError as error:
            cached.result = error
    if isinstance(cached.result, ContinuumError):
        raise copy(cached.result)  # the traceback of one object would grow with each raise
    return cached.result


def apply_account(bill: Bill, account: Account) -> Bill:
    """Return the bill with the plan, the read regions and the Prod Pack of the account."""
    known = account.database
    terms = Terms(len(known.read_regions), known.prod_pack)
    return bill.on_terms(terms).on_plan(account.plan or bill.plan)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our figures of the month beside the account's.

    Attributes:
        commands, account_commands: billed commands so far.
        dollars, account_dollars: the price so far.
        reasons: why the commands differ, one or two sentences each, in the language that was
            active; empty: they do not, beyond 2 %.
    """

    commands: int
    account_commands: int
    dollars: float
    account_dollars: float
    reasons: tuple[str, ...]

    @property
    def difference(self) -> int:
        """How many commands the account has more."""
        return self.account_commands - self.commands

    def describe(self) -> str:
        """Return by how much the commands differ, in the active language."""
        if not self.reasons:
            return _("none beyond 2 %")
        if self.difference > 0:
            text = _("the account has {number} more commands ({share} of ours)")
        else:
            text = _("the account has {number} fewer commands ({share} of ours)")
        share = abs(self.difference) / max(self.commands, 1)
        return text.format(
            number=format_count(abs(self.difference)), share=format_percentage(share)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"difference": self.difference, "reasons": list(self.reasons)}


def compare(bill: Bill, account: Account, month: Totals, today: Totals) -> Comparison:
    """Return our figures beside the account's.

    Args:
        bill: of the database, from the shared statistics.
        account: the account's figures.
        month: the totals of the alias since the month began.
        today: those since midnight UTC.
    """
    usage = account.usage
    difference = usage.commands - bill.commands
    is_same = abs(difference) <= max(_SAME_COMMANDS, _SAME_SHARE * bill.commands)
    reasons = () if is_same else tuple(_explain(bill, account, month, today, difference))
    return Comparison(bill.commands, usage.commands, bill.dollars_so_far, usage.dollars, reasons)


def _explain(
    bill: Bill, account: Account, month: Totals, today: Totals, difference: int
) -> Iterator[str]:
    usage, regions = account.usage, len(account.database.read_regions)
    if (regions - bill.regions) * difference > 0:
        text = _(
            "Read regions: the database has {regions}, and REGIONS is {ours}. Each write is billed "
            "once more per region: set CONTINUUM_STATS['REGIONS'] = {regions}."
        )
        yield text.format(regions=regions, ours=bill.regions)
    if difference > 0 and bill.first_hour is not None:
        text = _(
            "The statistics begin at {time} UTC: what was sent earlier in this month is only in "
            "the account's figure."
        )
        yield text.format(time=f"{bill.first_hour:%Y-%m-%d %H:%M}")
    if difference > 0:
        yield _(
            "Not in our figure: other clients of the database (other sites, the console, scripts), "
            "processes without statistics (SHARED is off, or the app is not in INSTALLED_APPS), "
            "and the last seconds of killed processes."
        )
        unknown = usage.today - today.all_billed
        if unknown > 0:
            text = _("Commands of today that are only in the account's figure: at least {number}.")
            yield text.format(number=format_count(unknown))
    else:
        yield _(
            "The account's figures are some minutes old. If you run scripts of your own, the "
            "statistics count every call in their text, even one that does not run."
        )
    if month.local_commands:
        text = _(
            "In neither figure: commands that the local store served in place of the database, "
            "{number}."
        )
        yield text.format(number=format_count(month.local_commands))


def examine_account(database: Database, account: Account, overview: Overview) -> Iterator[Finding]:
    """Yield what the account says about a database, held against the use of its alias.

    Args:
        database: of the alias.
        account: the account's figures.
        overview: of the alias, with the minutes of the last hour.
    """
    known, alias = account.database, database.config.alias
    detail = _("database '{name}', pricing plan {plan}, {state}")
    detail = detail.format(name=known.name, plan=known.plan, state=known.state)
    is_active = known.state == "active"
    fix = _("Look at the database in the console: it does not serve all calls.")
    yield Finding("account", "ok" if is_active else "failed", detail, "" if is_active else fix)
    if overview.bill is not None:
        yield from _examine_terms(overview.bill, account)
        yield from _examine_bill(overview, overview.bill, account)
    evicts = "on" if known.evicts else "off"
    if known.evicts and session_conf.are_stored_in(alias):
        detail = _("on, and the alias stores sessions")
        fix = _(
            "Switch Eviction off in the Upstash console, or use a separate database for sessions."
        )
        yield Finding("account: eviction", "warning", detail, fix)
    else:
        yield Finding("account: eviction", "info", f"{evicts}; auto upgrade: {known.auto_upgrade}")
    yield from _examine_limits(database, account, overview)


def _examine_terms(bill: Bill, account: Account) -> Iterator[Finding]:
    known = account.database
    terms = {
        "PLAN": (bill.plan, account.plan or known.plan),
        "REGIONS": (bill.regions, len(known.read_regions)),
        "PROD_PACK": (bill.prod_pack, known.prod_pack),
    }
    for name, (ours, theirs) in terms.items():
        if ours == theirs:
            yield Finding(f"account: {name}", "ok", f"{ours}, as in CONTINUUM_STATS")
        else:
            detail = _("{theirs}, but CONTINUUM_STATS['{name}'] is {ours}")
            fix = _("Set CONTINUUM_STATS['{name}'] = {theirs}, or the estimates are wrong.")
            yield Finding(
                f"account: {name}",
                "warning",
                detail.format(theirs=theirs, name=name, ours=ours),
                fix.format(theirs=repr(theirs), name=name),
            )


def _examine_bill(overview: Overview, bill: Bill, account: Account) -> Iterator[Finding]:
    usage, budget = account.usage, account.database.budget
    compared = compare(bill, account, overview.month or Totals(), overview.today)
    detail = (
        f"{usage.commands:,} billed commands and ${usage.dollars:,.2f} this month; by the "
        f"statistics {bill.commands:,} and ${compared.dollars:,.2f}. Difference: "
        f"{compared.describe()}"
    )
    yield Finding("account: bill", "info", " ".join((f"{detail}.", *compared.reasons)))
    if not budget:
        return
    own = account.project(datetime.now(UTC))
    ours = None if bill.is_early else apply_account(bill, account)
    expected_bill = own or ours
    projected = expected_bill and expected_bill.dollars
    spent = {"dollars": f"{usage.dollars:,.2f}", "budget": f"{budget:,.2f}"}
    if projected is None:
        detail = _("${dollars} of a budget of ${budget}").format(**spent)
    else:
        detail = _("${dollars} of a budget of ${budget}, ${expected} expected for the month")
        detail = detail.format(**spent, expected=f"{projected:,.2f}")
    if max(usage.dollars, projected or 0) < budget:
        yield Finding("account: budget", "ok", detail)
        return
    fix = _("At the budget the database is rate limited: raise it in the console, or send less.")
    yield Finding("account: budget", "warning", detail, fix)


def _examine_limits(database: Database, account: Account, overview: Overview) -> Iterator[Finding]:
    known, config = account.database, database.config
    if known.max_request_bytes:
        detail = _("{number} bytes per request").format(
            number=format_count(known.max_request_bytes)
        )
        maximum = config.max_value_bytes
        is_wrong = maximum is not None and maximum > known.max_request_bytes
        fix = ""
        if is_wrong:
            fix = _("Lower MAX_VALUE_BYTES ({number}): larger values are refused.")
            fix = fix.format(number=format_count(maximum or 0))
        yield Finding("account: request", "warning" if is_wrong else "ok", detail, fix)
    minutes = overview.minutes.buckets if overview.minutes else ()
    peak = max((each.totals.all_billed for each in minutes), default=0) / 60
    usage = account.usage
    rate_fix = _("Spread the load, or choose a larger pricing plan.")
    storage_fix = _("Delete keys, or choose a larger pricing plan.")
    commands_fix = _("Send fewer commands, or choose a larger pricing plan.")
    uses = (
        ("commands/s", peak, known.max_commands_per_second, WARN_RATIO, rate_fix),
        ("storage", usage.storage, known.max_storage_bytes, MEMORY_WARN_RATIO, storage_fix),
        ("commands", usage.commands, known.max_commands, WARN_RATIO, commands_fix),
    )
    for name, used, limit, ratio, fix in uses:
        if 0 < limit < _UNLIMITED:
            is_near = used >= ratio * limit
            outcome: Outcome = "warning" if is_near else "ok"
            detail = _("{used} of {limit}")
            detail = detail.format(used=format_count(used), limit=format_count(limit))
            yield Finding(f"account: {name}", outcome, detail, fix if is_near else "")
