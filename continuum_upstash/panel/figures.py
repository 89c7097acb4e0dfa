"""What an alias did in the last hour and day, and what that costs: the panel's readings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import starmap
from typing import Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.monthly_usage import Month, midnight_of
from continuum_upstash.panel.formatting import Text, count, milliseconds, percentage
from continuum_upstash.plans.effects import Plan, pair
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.pricing import Bill
from continuum_upstash.stats.shared import reader
from continuum_upstash.stats.shared.schema import Bucket
from continuum_upstash.stats.shared.writer import SharedWriter
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.registry import get_process_state

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time up to now, without holes.

    Attributes:
        slots: minutes or hours in order of time; one in which nothing was asked has an empty
            totals.
    """

    slots: tuple[Bucket, ...]

    @property
    def total(self) -> Totals:
        return reader.sum_buckets(list(self.slots))


@dataclass(frozen=True, slots=True)
class Figures:
    """
    Attributes:
        own: sums of this process since it started.
        hour, day: of all processes; None: there are none.
        bill: the database's, of this month; None: not known.
        problem: why something is missing, without secrets.
    """

    own: Totals
    hour: Span | None = None
    day: Span | None = None
    bill: Bill | None = None
    problem: str = ""


class Reader:
    """Reads the shared statistics of one cache: a billed command for each hash."""

    def __init__(self, cache: UpstashBaseCache) -> None:
        self._run, self._arun = cache.run, cache.arun
        self._config = cache.database.config
        self._month = Month(cache)

    def plan_figures(self, now: datetime, *, silent: bool = False) -> Plan[Figures]:
        """Return what is known.

        Args:
            now: UTC.
            silent: the database is known not to answer.
        """
        alias = self._config.alias
        own = read_process_totals(alias)
        if silent or self._config.mode == "local":
            return Figures(own)
        try:
            minutes = yield from self._plan_points(_MINUTE, now - _HOUR, now)
            hours = yield from self._plan_points(_HOUR, now - _DAY, now)
        except ContinuumError as error:
            return Figures(own, problem=str(error))
        if not hours:
            return Figures(own)
        spans = _span(minutes, now, _MINUTE, 60), _span(hours, now, _HOUR, 24)
        midnight = midnight_of(now)
        today = reader.sum_buckets([point for point in hours if point.at >= midnight])
        try:
            return Figures(own, *spans, (yield from self._month.plan_bill(today, now)))
        except ContinuumError as error:
            return Figures(own, *spans, problem=str(error))

    def _plan_points(self, unit: timedelta, begin: datetime, now: datetime) -> Plan[list[Bucket]]:
        """Return the shared sums and what this process has not written yet, as if it did now."""
        alias = self._config.alias
        unwritten = get_process_state(SharedWriter).pending(alias)
        read = reader.read_minutes if unit is _MINUTE else reader.read_hours
        found = yield from read(alias, begin, now)
        return [*found, Bucket(_begin(now, unit), unwritten)] if found else []

    figures, afigures = pair(plan_figures)


def _span(found: Sequence[Bucket], now: datetime, unit: timedelta, count: int) -> Span:
    last = _begin(now, unit)
    slots = {last - unit * (count - 1 - number): Totals() for number in range(count)}
    for point in found:
        if point.at in slots:
            slots[point.at] += point.totals
    return Span(tuple(starmap(Bucket, slots.items())))


def _begin(now: datetime, unit: timedelta) -> datetime:
    begin = now.replace(second=0, microsecond=0)
    return begin if unit is _MINUTE else begin.replace(minute=0)


@dataclass(frozen=True, slots=True)
class Tile:
    """
    Attributes:
        value: of the last hour, or of this process since it started.
        day: of the last day; empty: nobody knows.
    """

    title: Text
    value: str
    day: str = ""


def _hit_rate(totals: Totals) -> str:
    return percentage(totals.hit_rate)


def _latency(totals: Totals) -> str:
    return milliseconds(totals.estimate_quantile(0.95))


def _billed(totals: Totals) -> str:
    return count(totals.billed + totals.overhead)


def _errors(totals: Totals) -> str:
    return count(sum(totals.errors.values()))


_FIGURES: Final[tuple[tuple[Text, Callable[[Totals], str]], ...]] = (
    (_("Hit rate"), _hit_rate),
    (_("Latency, 95th percentile"), _latency),
    (_("Billed commands"), _billed),
    (_("Errors"), _errors),
)


def tiles(figures: Figures) -> list[Tile]:
    if figures.hour is None or figures.day is None:
        return [Tile(title, text(figures.own)) for title, text in _FIGURES]
    hour, day = figures.hour.total, figures.day.total
    return [Tile(title, text(hour), text(day)) for title, text in _FIGURES]
