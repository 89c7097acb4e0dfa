"""What an alias does: its health, its shared statistics and its bill, in one object."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from continuum_upstash.effects import Plan, pair
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health import Examiner, Report
from continuum_upstash.plan_cache import PlanCache
from continuum_upstash.stats import history
from continuum_upstash.stats.cost import Bill, bill, plan_of
from continuum_upstash.stats.counters import counters
from continuum_upstash.stats.records import HOURS_KEPT, Point
from continuum_upstash.stats.tally import Tally, total
from continuum_upstash.transports.registry import Database

NO_HISTORY: Final = "no history yet: see docs/how-to/monitor.md"

KEPT: Final = timedelta(seconds=HOURS_KEPT)

_DAY: Final = timedelta(days=1)
_AGAIN: Final = timedelta(minutes=5)  # until a month is asked for again that could not be read


@dataclass(frozen=True, slots=True)
class Overview:
    """
    Attributes:
        report: how the database is doing.
        since: how far back `recent` goes.
        scope: whether the figures are of all processes, or of this one only since nothing is
            shared: the statistics are off, the mode is local, or they cannot be read.
        recent: sums since then.
        points: the same by minute, or by hour beyond a day.
        today: sums since midnight UTC.
        bill: of this month; None where nothing is billed or known.
        errors: why something is missing, without secrets.
    """

    report: Report
    since: timedelta
    scope: Literal["all processes", "this process"]
    recent: Tally
    points: tuple[Point, ...]
    today: Tally
    bill: Bill | None
    errors: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it; times in seconds, memory in bytes."""
        recent = self.recent
        return {
            **self.report.as_dict(),
            "since_seconds": self.since.total_seconds(),
            "scope": self.scope,
            "recent": _figures(recent),
            "today": _figures(self.today),
            "bill": None
            if self.bill is None
            else {
                "plan": self.bill.plan,
                "commands": self.bill.commands,
                "limit": self.bill.limit,
                "used": self.bill.used,
                "projected_commands": self.bill.projected,
                "projected_dollars": self.bill.dollars,
            },
            "errors": [*self.report.errors, *self.errors],
        }


@dataclass(frozen=True, slots=True)
class _Month:
    """What was found of a month up to last midnight: it costs a command for each day.

    Attributes:
        begin, end: when that is not asked for again: for a day, since it changes no more, or for
            a while when it could not be read.
    """

    begin: datetime
    end: datetime
    found: Tally | ContinuumError


_months: WeakKeyDictionary[Database, _Month] = WeakKeyDictionary()


class Overseer:
    """Looks at one cache. Each hash of statistics that it reads is one billed command.

    It adds to `Examiner`'s report what all processes did and what the month costs: `cache_stats`,
    `cache_cost`, the doctor's quota and scrapes call it; the panel takes the month from it.
    """

    def __init__(self, cache: PlanCache) -> None:
        self._run, self._arun = cache._run, cache._arun  # noqa: SLF001 the protocol of pair()
        self._database, self._alias = cache.database, cache.database.config.alias
        self._examiner = Examiner(cache)

    def plan_month(self, now: datetime) -> Plan[Tally]:
        """Return the sums from the month's begin to last midnight, read once a day by a process.

        Args:
            now: UTC.

        Raises:
            ContinuumError: they cannot be read, or could not be some minutes ago.
        """
        known = _months.get(self._database)
        if known is None or not known.begin <= now < known.end:
            known = yield from self._plan_find(now)
            _months[self._database] = known
        if isinstance(known.found, ContinuumError):
            raise copy(known.found)  # one that is raised often would grow its traceback
        return known.found

    def _plan_find(self, now: datetime) -> Plan[_Month]:
        midnight = _midnight(now)
        begin = midnight.replace(day=1)
        if begin == midnight:
            return _Month(midnight, midnight + _DAY, Tally())
        try:
            points = yield from history.hours(self._alias, begin, midnight - _DAY)
        except ContinuumError as error:
            return _Month(now, now + _AGAIN, copy(error))
        return _Month(midnight, midnight + _DAY, history.summed(points))

    month, amonth = pair(plan_month)

    def plan_overview(self, since: timedelta, now: datetime) -> Plan[Overview]:
        """Look once.

        Args:
            since: how far back the recent figures go; more than is kept is as much as is kept.
            now: UTC.
        """
        since = min(since, KEPT)
        report = yield from self._examiner.plan_report()
        if report.mode == "local" or report.round_trip is None:
            return self._alone(report, since)
        read = history.minutes if since <= _DAY else history.hours
        try:
            points = yield from read(self._alias, now - since, now)
            today = history.summed((yield from history.hours(self._alias, _midnight(now), now)))
        except ContinuumError as error:
            return self._alone(report, since, str(error))
        recent, month = history.summed(points), None
        errors: tuple[str, ...] = ()
        known = recent.batches or today.batches
        try:
            earlier = yield from self.plan_month(now)
            known = known or earlier.batches
            commands = sum(each.billed + each.overhead for each in (earlier, today))
            month = bill(plan_of(self._alias), commands, now)
        except ContinuumError as error:
            errors = (str(error),)
        if not known:
            return self._alone(report, since, *errors)
        return Overview(
            report=report,
            since=since,
            scope="all processes",
            recent=recent,
            points=tuple(points),
            today=today,
            bill=month,
            errors=errors,
        )

    overview, aoverview = pair(plan_overview)

    def _alone(self, report: Report, since: timedelta, *errors: str) -> Overview:
        own = total(counters.read(self._alias))
        return Overview(report, since, "this process", own, (), own, None, errors)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _figures(tally: Tally) -> dict[str, Any]:
    return {
        **tally.as_dict(),
        "hit_rate": tally.hit_rate,
        "error_rate": tally.error_rate,
        "p50_seconds": tally.quantile(0.5),
        "p95_seconds": tally.quantile(0.95),
        "p99_seconds": tally.quantile(0.99),
    }
