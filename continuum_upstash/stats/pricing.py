"""Upstash's pricing plans in August 2026: https://upstash.com/docs/redis/overall/billing."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import get_setting

_HOUR: Final = timedelta(hours=1)
# How much the rest of a month may differ from a rate, by the time in which it was measured.
_DEVIATIONS: Final = (
    (timedelta(days=1), 0.5), (timedelta(days=7), 0.25), (timedelta.max, 0.1),
)  # fmt: skip
WARN_RATIO: Final = 0.8  # fraction of the month's commands at which warnings begin


@dataclass(frozen=True, slots=True)
class PricingPlan:
    """The prices and limits of one plan.

    Attributes:
        dollars: the fixed price per month.
        dollars_per_100k: the price of 100,000 commands.
        commands: the limit per month; None: unlimited.
        request_mb: the maximum size of a request and of a response, in MB.
    """

    dollars: float = 0.0
    dollars_per_100k: float = 0.0
    commands: int | None = None
    request_mb: int = 10

    def cost_of(self, commands: int) -> float:
        """Return the dollars for so many commands, without the fixed price."""
        return commands * self.dollars_per_100k / 100_000


PRICING_PLANS: Final[Mapping[str, PricingPlan]] = MappingProxyType(
    {
        "free": PricingPlan(commands=500_000),
        "payg": PricingPlan(dollars_per_100k=0.20),
        "250mb": PricingPlan(10),
        "1gb": PricingPlan(20),
        "5gb": PricingPlan(100, request_mb=20),
        "10gb": PricingPlan(200, request_mb=30),
        "50gb": PricingPlan(400, request_mb=50),
        "100gb": PricingPlan(800, request_mb=75),
        "500gb": PricingPlan(1500, request_mb=100),
    }
)


@dataclass(frozen=True, slots=True)
class Bill:
    """The commands of a month and their price, as far as the shared statistics know.

    Attributes:
        plan: a name in PRICING_PLANS.
        commands: billed so far, including those of the shared statistics.
        limit: the plan's commands per month; None: unlimited.
        projected: commands at the end of the month at the current rate.
        dollars: price of the month at the current rate: plan and commands, but not storage and
            traffic, which are not measured.
        least, most: the range of `projected`; see `project_bill`.
        is_early: whether the recorded time is too short for a projection.
    """

    plan: str
    commands: int
    limit: int | None
    projected: int
    dollars: float
    least: int
    most: int
    is_early: bool = False

    @property
    def used_ratio(self) -> float | None:
        """The used fraction of the limit, 0 to 1; None without a limit."""
        return self.commands / self.limit if self.limit else None

    def is_above(self, dollars: float) -> bool:
        """Return whether the month costs more, so far or as it is projected."""
        plan = PRICING_PLANS[self.plan]
        so_far = plan.dollars + plan.cost_of(self.commands)
        return so_far > dollars or (not self.is_early and self.dollars > dollars)

    def on_plan(self, name: str) -> Bill:
        """Return the bill for the same commands on another pricing plan."""
        plan = PRICING_PLANS[name]
        dollars = round(plan.dollars + plan.cost_of(self.projected), 2)
        return replace(self, plan=name, limit=plan.commands, dollars=dollars)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; what is projected is None if it is too early."""
        unknown = ("projected", "dollars", "least", "most") if self.is_early else ()
        return asdict(self) | dict.fromkeys(unknown)

    def describe_projection(self) -> str:
        """Return the commands and the price of the month as text."""
        if self.is_early:
            return "too early to say: the statistics cover less than an hour"
        return (
            f"{self.projected:,} billed commands ({self.least:,} to {self.most:,}), "
            f"${self.dollars:,.2f} for the month"
        )


def get_pricing_plan_name(alias: str) -> str:
    """Return the name of the pricing plan that CONTINUUM_STATS gives an alias.

    Raises:
        ConfigurationError: there is no such plan.
    """
    setting = get_setting("PLAN")
    name = setting.get(alias, "free") if isinstance(setting, Mapping) else setting
    if not isinstance(name, str) or name not in PRICING_PLANS:
        raise ConfigurationError(
            f"CONTINUUM_STATS['PLAN'] is {name!r} for '{alias}': write one of "
            f"{', '.join(PRICING_PLANS)}, or a dict with one for each alias."
        )
    return name


@dataclass(frozen=True, slots=True)
class MonthlyUsage:
    """The billed commands of a month, as far as they are recorded.

    Attributes:
        commands: all of them, including those of the shared statistics.
        first_hour: the first hour with any, UTC; None: recorded since the month began.
        in_first_hour: the commands of that hour, whose beginning may not be recorded.
    """

    commands: int
    first_hour: datetime | None = None
    in_first_hour: int = 0


def project_bill(name: str, usage: MonthlyUsage | int, now: datetime) -> Bill:
    """Return the bill of the current month.

    The rate is that of the time after the first recorded hour. The range assumes that the rest of
    the month differs from it by up to a half if the rate is that of less than a day, a quarter if
    less than a week, and a tenth otherwise.

    Args:
        name: of the pricing plan.
        usage: the usage, or the billed commands since the month began.
        now: UTC. At least one hour is assumed to have passed, so that early projections are not
            inflated.
    """
    plan = PRICING_PLANS[name]
    if isinstance(usage, int):
        usage = MonthlyUsage(usage)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begin, counted = month, usage.commands
    if usage.first_hour is not None and usage.first_hour > month:
        begin, counted = usage.first_hour + _HOUR, usage.commands - usage.in_first_hour
    is_early = now - begin < _HOUR
    if is_early and begin > month:
        begin, counted = begin - _HOUR, usage.commands
    elapsed = max(now - begin, _HOUR)
    days = calendar.monthrange(now.year, now.month)[1]
    rest = counted * (month + timedelta(days=days) - max(now, begin + elapsed)) / elapsed
    deviation = next(share for period, share in _DEVIATIONS if elapsed < period)
    projected = usage.commands + rest
    return Bill(
        name,
        usage.commands,
        plan.commands,
        projected=round(projected),
        dollars=round(plan.dollars + plan.cost_of(round(projected)), 2),
        least=round(projected - rest * deviation),
        most=round(projected + rest * deviation),
        is_early=is_early,
    )
