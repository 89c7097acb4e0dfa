"""Upstash's plans in August 2026: https://upstash.com/docs/redis/overall/billing."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import setting

MUCH: Final = 0.8  # of a month's commands: from here on somebody should act


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        dollars: for a month.
        dollars_per_100k: of commands.
        commands: a month; None: not limited.
        request_mb: the largest request, and the largest reply.
    """

    dollars: float = 0.0
    dollars_per_100k: float = 0.0
    commands: int | None = None
    request_mb: int = 10

    def price(self, commands: int) -> float:
        """Return the dollars of so many commands, which the month's come on top of."""
        return commands * self.dollars_per_100k / 100_000


PLANS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        "free": Plan(commands=500_000),
        "payg": Plan(dollars_per_100k=0.20),
        "250mb": Plan(10),
        "1gb": Plan(20),
        "5gb": Plan(100, request_mb=20),
        "10gb": Plan(200, request_mb=30),
        "50gb": Plan(400, request_mb=50),
        "100gb": Plan(800, request_mb=75),
        "500gb": Plan(1500, request_mb=100),
    }
)


@dataclass(frozen=True, slots=True)
class Bill:
    """A month of one alias, as far as our statistics know.

    Attributes:
        plan: a name of PLANS.
        commands: billed so far, statistics included.
        limit: commands of the month; None: the plan has no limit.
        projected: commands at the month's end if it goes on like this.
        dollars: at the month's end if it goes on like this, commands and plan; storage and
            traffic are not known here.
    """

    plan: str
    commands: int
    limit: int | None
    projected: int
    dollars: float

    @property
    def used(self) -> float | None:
        """The share of the limit that is used up, 0 to 1."""
        return self.commands / self.limit if self.limit else None


def plan_of(alias: str) -> str:
    """Return the name of the plan that CONTINUUM_STATS gives the alias.

    Raises:
        ConfigurationError: there is no such plan.
    """
    given = setting("PLAN")
    name = given.get(alias, "free") if isinstance(given, Mapping) else given
    if not isinstance(name, str) or name not in PLANS:
        raise ConfigurationError(
            f"CONTINUUM_STATS['PLAN'] is {name!r} for '{alias}': write one of {', '.join(PLANS)}, "
            f"or a dict that gives each alias one."
        )
    return name


def bill(name: str, commands: int, now: datetime) -> Bill:
    """Return the bill of the month that `now` (UTC) is in.

    Args:
        name: of the plan, see `plan_of`.
        commands: billed since the month began.
        now: of which at least an hour is taken for over, so that a month does not begin with a
            fright.
    """
    plan = PLANS[name]
    days = calendar.monthrange(now.year, now.month)[1]
    elapsed = max((now.day - 1) * 24 + now.hour + now.minute / 60, 1.0)
    projected = round(commands * days * 24 / elapsed)
    dollars = plan.dollars + plan.price(projected)
    return Bill(name, commands, plan.commands, projected, round(dollars, 2))
