"""What an alias does: its health, its shared statistics and its bill, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.monthly_usage import Month, midnight_of
from continuum_upstash.health.report import Examiner, Report
from continuum_upstash.plans.effects import Plan, pair
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.pricing import Bill
from continuum_upstash.stats.shared import reader
from continuum_upstash.stats.shared.schema import HOURS_KEPT, Bucket
from continuum_upstash.stats.totals import Totals

NO_HISTORY: Final = "no history yet: see docs/how-to/monitor.md"

KEPT: Final = timedelta(seconds=HOURS_KEPT)

_DAY: Final = timedelta(days=1)


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
        bill: the database's, of this month; None where nothing is billed or known.
        errors: why something is missing, without secrets.
    """

    report: Report
    since: timedelta
    scope: Literal["all processes", "this process"]
    recent: Totals
    points: tuple[Bucket, ...]
    today: Totals
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
                "used": self.bill.used_ratio,
                "projected_commands": self.bill.projected,
                "projected_dollars": self.bill.dollars,
            },
            "errors": [*self.report.errors, *self.errors],
        }


class Overseer:
    """Looks at one cache. Each hash of statistics that it reads is one billed command.

    It adds to `Examiner`'s report what all processes did and what the month costs: `cache_stats`,
    `cache_cost`, the doctor's quota and scrapes call it.
    """

    def __init__(self, cache: UpstashBaseCache) -> None:
        self._run, self._arun = cache.run, cache.arun
        self._alias = cache.database.config.alias
        self._examiner, self._month = Examiner(cache), Month(cache)

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
        read = reader.read_minutes if since <= _DAY else reader.read_hours
        try:
            points = yield from read(self._alias, now - since, now)
            today = yield from reader.read_day([self._alias], midnight_of(now))
        except ContinuumError as error:
            return self._alone(report, since, str(error))
        recent, month = reader.sum_buckets(points), None
        errors: tuple[str, ...] = ()
        known = recent.batches or today.batches
        try:
            known = known or (yield from self._month.plan_earlier(now)).batches
            month = yield from self._month.plan_bill(today, now)
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
        own = read_process_totals(self._alias)
        return Overview(report, since, "this process", own, (), own, None, errors)


def _figures(totals: Totals) -> dict[str, Any]:
    return {
        **totals.as_dict(),
        "hit_rate": totals.hit_rate,
        "error_rate": totals.error_rate,
        "p50_seconds": totals.estimate_quantile(0.5),
        "p95_seconds": totals.estimate_quantile(0.95),
        "p99_seconds": totals.estimate_quantile(0.99),
    }
