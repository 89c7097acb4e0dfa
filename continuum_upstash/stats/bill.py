"""The bill of a month: what is recorded of it, what is projected, and its price."""

from __future__ import annotations

import calendar
import math
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import global_settings, settings
from django.utils.timezone import get_default_timezone

from continuum_upstash.plans.command_table import COMMANDS, SCRIPT_KEYS, UNKNOWN
from continuum_upstash.stats.pricing import Terms, Use, get_pricing_plan
from continuum_upstash.stats.totals import Totals

_HOUR: Final = timedelta(hours=1)
# How much less and more the rest of a month may be, by the time in which the rate was measured. A
# rate of the night says little about the day.
_DEVIATIONS: Final = (
    (timedelta(hours=8), 0.6, 2.0),
    (timedelta(days=1), 0.4, 0.7),
    (timedelta(days=7), 0.25, 0.25),
    (timedelta.max, 0.1, 0.1),
)
# The use of a day, as far as all sites have in common: least before dawn, local time.
_DAILY_SWING: Final = 0.3
_QUIETEST_HOUR: Final = 4.5


@dataclass(frozen=True, slots=True)
class Bill:
    """The commands of a month and their price, as far as the shared statistics know.

    Attributes:
        plan: a name in PRICING_PLANS.
        commands: billed so far, including those of the shared statistics and of read regions.
        limit: the plan's commands per month; None: unlimited.
        projected: commands at the end of the month at the current rate.
        dollars: price of the month at the current rate: the sum of `prices`.
        least, most: the range of `projected`; see `project_bill`.
        is_early: whether the recorded time is too short for a projection.
        prices: the dollars for ``plan``, ``commands``, ``regions`` (of a fixed plan), ``storage``,
            ``traffic`` and ``prod_pack``.
        storage: bytes of data, now.
        traffic: bytes of keys and values in the month at the current rate. The protocol's own bytes
            are not measured.
        regions: read regions.
        prod_pack: whether the database has the Prod Pack.
        exceeded: the limits of the plan that the projected use exceeds: ``commands``, ``storage``,
            ``traffic``.
        first_hour: when the statistics begin, UTC; None: with the month, or earlier.
        writes: how many of the commands so far change data, without those of read regions.
    """

    plan: str
    commands: int
    limit: int | None
    projected: int
    dollars: float
    least: int
    most: int
    is_early: bool = False
    prices: dict[str, float] = field(default_factory=dict)
    storage: int = 0
    traffic: int = 0
    regions: int = 0
    prod_pack: bool = False
    exceeded: tuple[str, ...] = ()
    first_hour: datetime | None = None
    writes: int = 0

    @property
    def used_ratio(self) -> float | None:
        """The used fraction of the limit, 0 to 1; None without a limit."""
        return self.commands / self.limit if self.limit else None

    @property
    def terms(self) -> Terms:
        return Terms(self.regions, self.prod_pack)

    @property
    def is_sufficient(self) -> bool:
        """Whether the plan can be had with these terms, and none of its limits is exceeded."""
        return not self.exceeded and not (self.plan == "free" and self.prod_pack)

    @property
    def dollars_so_far(self) -> float:
        """The price of what was used until now."""
        use = Use(self.commands, self.storage)
        return sum(get_pricing_plan(self.plan).list_prices(use, self.terms).values())

    def is_above(self, dollars: float) -> bool:
        """Return whether the month costs more, so far or as it is projected."""
        return self.dollars_so_far > dollars or (not self.is_early and self.dollars > dollars)

    def on_plan(self, name: str) -> Bill:
        """Return the bill for the same use on another pricing plan."""
        plan, use = get_pricing_plan(name), Use(self.projected, self.storage, self.traffic)
        exact = plan.list_prices(use, self.terms)
        prices = {item: round(dollars, 2) for item, dollars in exact.items()}
        return replace(
            self,
            plan=name,
            limit=plan.commands,
            prices=prices,
            dollars=round(sum(prices.values()), 2),
            exceeded=tuple(plan.list_exceeded(use)),
        )

    def on_terms(self, terms: Terms) -> Bill:
        """Return the bill for the same use with other read regions or the Prod Pack."""
        own = self.commands - self.writes * self.regions
        factor = (own + self.writes * terms.regions) / self.commands if self.commands else 1
        changed = replace(
            self,
            commands=round(self.commands * factor),
            projected=round(self.projected * factor),
            least=round(self.least * factor),
            most=round(self.most * factor),
            regions=terms.regions,
            prod_pack=terms.prod_pack,
        )
        return changed.on_plan(self.plan)

    def grow(self, factor: int) -> Bill:
        """Return the bill of a month with so many times the use."""
        grown = replace(
            self,
            projected=self.projected * factor,
            storage=self.storage * factor,
            traffic=self.traffic * factor,
        )
        return grown.on_plan(self.plan)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; what is projected is None if it is too early."""
        unknown = ("projected", "dollars", "least", "most", "prices", "traffic")
        values = {**asdict(self), "exceeded": list(self.exceeded)}
        values["first_hour"] = self.first_hour and self.first_hour.isoformat()
        return values | (dict.fromkeys(unknown) if self.is_early else {})

    def describe_projection(self) -> str:
        """Return the commands and the price of the month as text."""
        if self.is_early:
            return "too early to say: the statistics cover less than an hour"
        return (
            f"{self.projected:,} billed commands ({self.least:,} to {self.most:,}), "
            f"${self.dollars:,.2f} for the month"
        )


@dataclass(frozen=True, slots=True)
class MonthlyUsage:
    """The billed commands of a month, as far as they are recorded.

    Attributes:
        commands: all of them, including those of the shared statistics.
        first_hour: the first hour with any, UTC; None: recorded since the month began.
        in_first_hour: the commands of that hour, whose beginning may not be recorded.
        writes: those that change the data, which read regions are billed for.
        traffic: bytes of keys and values, sent and received.
        storage: bytes of data, now.
    """

    commands: int
    first_hour: datetime | None = None
    in_first_hour: int = 0
    writes: int = 0
    traffic: int = 0
    storage: int = 0

    def replicate(self, regions: int) -> MonthlyUsage:
        """Return the usage as it is billed with so many read regions."""
        if not regions or not self.commands:
            return self
        factor = 1 + regions * self.writes / self.commands
        return replace(
            self,
            commands=self.commands + regions * self.writes,
            in_first_hour=round(self.in_first_hour * factor),
        )


def project_bill(
    name: str, usage: MonthlyUsage | int, now: datetime, terms: Terms | None = None
) -> Bill:
    """Return the bill of the current month.

    The rate is that of the time after the first recorded hour. If TIME_ZONE is not UTC, a part of
    a day is weighted by the usual course of a day there. The range assumes that the rest of the
    month is 60 % less to 200 % more if the rate is that of less than 8 hours, 40 % less to 70 %
    more if less than a day, and differs by a quarter if less than a week, and a tenth otherwise.

    Args:
        name: of the pricing plan.
        usage: the usage, or the billed commands since the month began.
        now: UTC. At least one hour is assumed to have passed, so that early projections are not
            inflated.
        terms: what the database has beside the plan.
    """
    terms = terms or Terms()
    usage = MonthlyUsage(usage) if isinstance(usage, int) else usage.replicate(terms.regions)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begin, counted = month, usage.commands
    if usage.first_hour is not None and usage.first_hour > month:
        begin, counted = usage.first_hour + _HOUR, usage.commands - usage.in_first_hour
    is_early = now - begin < _HOUR
    if is_early and begin > month:
        begin, counted = begin - _HOUR, usage.commands
    elapsed = max(now - begin, _HOUR)
    days = calendar.monthrange(now.year, now.month)[1]
    measured = _weigh(begin, begin + elapsed)
    rest = counted * _weigh(max(now, begin + elapsed), month + timedelta(days=days)) / measured
    less, more = next((less, more) for period, less, more in _DEVIATIONS if elapsed < period)
    projected = usage.commands + rest
    growth = projected / usage.commands if usage.commands else 1.0
    bill = Bill(
        name,
        usage.commands,
        None,
        projected=round(projected),
        dollars=0.0,
        least=round(projected - rest * less),
        most=round(projected + rest * more),
        is_early=is_early,
        storage=usage.storage,
        traffic=round(usage.traffic * growth),
        regions=terms.regions,
        prod_pack=terms.prod_pack,
        first_hour=usage.first_hour if begin > month else None,
        writes=usage.writes,
    )
    return bill.on_plan(name)


def _weigh(begin: datetime, end: datetime) -> float:
    """Return the hours between two times, weighted by the users' time of the day if it is known."""
    hours = (end - begin) / _HOUR
    if settings.TIME_ZONE in {"UTC", global_settings.TIME_ZONE}:  # as it is without a choice
        return hours
    local = begin.astimezone(get_default_timezone())
    first = local.hour + local.minute / 60 + local.second / 3600 - _QUIETEST_HOUR
    turn = 2 * math.pi / 24
    wave = math.sin(turn * (first + hours)) - math.sin(turn * first)
    return hours - _DAILY_SWING * wave / turn


def estimate_writes(totals: Totals) -> int:
    """Return how many of the billed commands change data; a database with read regions bills more.

    What scripts run counts as writes: the result is then an upper bound.
    """
    known = [(COMMANDS.get(name, UNKNOWN), count) for name, count in totals.commands.items()]
    plain = sum(n for spec, n in known if spec.writes and spec.keys is not SCRIPT_KEYS)
    in_scripts = totals.billed - sum(n for spec, n in known if spec.billed)
    return plain + max(in_scripts, 0) + totals.overhead
