"""Upstash's pricing plans in August 2026: https://upstash.com/docs/redis/overall/billing."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import get_setting

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
    """

    plan: str
    commands: int
    limit: int | None
    projected: int
    dollars: float

    @property
    def used_ratio(self) -> float | None:
        """The used fraction of the limit, 0 to 1; None without a limit."""
        return self.commands / self.limit if self.limit else None


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


def project_bill(name: str, commands: int, now: datetime) -> Bill:
    """Return the bill of the current month.

    Args:
        name: of the pricing plan.
        commands: billed since the month began.
        now: UTC. At least one hour is assumed to have passed, so that early projections are not
            inflated.
    """
    plan = PRICING_PLANS[name]
    days = calendar.monthrange(now.year, now.month)[1]
    hours = max((now.day - 1) * 24 + now.hour + now.minute / 60, 1.0)
    projected = round(commands * days * 24 / hours)
    dollars = plan.dollars + plan.cost_of(projected)
    return Bill(name, commands, plan.commands, projected, round(dollars, 2))
