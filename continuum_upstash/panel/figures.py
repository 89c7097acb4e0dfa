"""What an alias did in the last hour and day, and what that costs: the panel's readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from continuum_upstash.effects import Plan, pair
from continuum_upstash.errors import ContinuumError
from continuum_upstash.overview import Overseer
from continuum_upstash.plan_cache import PlanCache
from continuum_upstash.stats import history
from continuum_upstash.stats.cost import Bill, bill, plan_of
from continuum_upstash.stats.counters import counters
from continuum_upstash.stats.records import Point
from continuum_upstash.stats.tally import Tally, total

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time up to now, without holes.

    Attributes:
        slots: minutes or hours in order of time; one in which nothing was asked has an empty
            tally.
    """

    slots: tuple[Point, ...]

    @property
    def total(self) -> Tally:
        return history.summed(list(self.slots))


@dataclass(frozen=True, slots=True)
class Figures:
    """
    Attributes:
        own: sums of this process since it started.
        hour, day: of all processes; None: there are none.
        bill: of this month; None: not known.
        problem: why something is missing, without secrets.
    """

    own: Tally
    hour: Span | None = None
    day: Span | None = None
    bill: Bill | None = None
    problem: str = ""


class Reader:
    """Reads the shared statistics of one cache: a billed command for each hash."""

    def __init__(self, cache: PlanCache) -> None:
        self._run, self._arun = cache._run, cache._arun  # noqa: SLF001 the protocol of pair()
        self._config = cache.database.config
        self._overseer = Overseer(cache)

    def plan_figures(self, now: datetime, *, silent: bool = False) -> Plan[Figures]:
        """Return what is known.

        Args:
            now: UTC.
            silent: the database is known not to answer.
        """
        alias = self._config.alias
        own = total(counters.read(alias))
        if silent or self._config.mode == "local":
            return Figures(own)
        try:
            minutes = yield from history.minutes(alias, now - _HOUR, now)
            hours = yield from history.hours(alias, now - _DAY, now)
            if not hours:
                return Figures(own)
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            today = history.summed([point for point in hours if point.at >= midnight])
            earlier = yield from self._overseer.plan_month(now)
            commands = sum(each.billed + each.overhead for each in (earlier, today))
            month = bill(plan_of(alias), commands, now)
        except ContinuumError as error:
            return Figures(own, problem=str(error))
        return Figures(own, _span(minutes, now, _MINUTE, 60), _span(hours, now, _HOUR, 24), month)

    figures, afigures = pair(plan_figures)


def _span(found: Sequence[Point], now: datetime, unit: timedelta, count: int) -> Span:
    tallies = {point.at: point.tally for point in found}
    last = now.replace(second=0, microsecond=0)
    if unit is _HOUR:
        last = last.replace(minute=0)
    times = [last - unit * (count - 1 - number) for number in range(count)]
    return Span(tuple(Point(at, tallies.get(at, Tally())) for at in times))
