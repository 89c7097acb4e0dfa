"""How a cache is doing and what it costs: health, statistics and bill in one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.documentation import link_to
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.monthly_usage import (
    get_midnight,
    read_bill,
    read_until_yesterday,
)
from continuum_upstash.health.probe import Health, probe_health
from continuum_upstash.plans.effects import Plan
from continuum_upstash.stats.bill import Bill
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.exporters.prometheus_text import AliasMetrics
from continuum_upstash.stats.shared.reader import read_hours, read_minutes, sum_buckets
from continuum_upstash.stats.shared.schema import HOURS_KEPT, MINUTES_KEPT, Bucket
from continuum_upstash.stats.shared.writer import SharedWriter
from continuum_upstash.stats.totals import Totals, add_up
from continuum_upstash.transports.registry import get_process_state

Scope: TypeAlias = Literal["all processes", "this process"]

NO_HISTORY: Final = f"no history yet: see {link_to('how-to/monitor')}"

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Series:
    """What all processes did in a period that ends now.

    Attributes:
        period: its length.
        buckets: its minutes or hours in order, without gaps. The first one may begin earlier than
            the period.
    """

    period: timedelta
    buckets: tuple[Bucket, ...]

    @property
    def totals(self) -> Totals:
        return sum_buckets(self.buckets)


@dataclass(frozen=True, slots=True)
class Overview:
    """The health, the statistics and the bill of one cache.

    Attributes:
        health: of the cache.
        period: how far back `recent` goes.
        scope: ``this process`` if there are no shared statistics: they are switched off, the mode
            is local, the database is unreachable, or no process has written any yet.
        process: what this process did since it started.
        minutes, hours: the requested series; None: not requested, or no shared statistics.
        today: totals since midnight UTC.
        month: totals since the beginning of the month; None: unknown.
        bill: this month's bill of the database; None: nothing is billed, or it is unknown.
        errors: why something is missing, without secrets.
    """

    health: Health
    period: timedelta
    scope: Scope
    process: Totals
    minutes: Series | None
    hours: Series | None
    today: Totals
    month: Totals | None
    bill: Bill | None
    errors: tuple[str, ...]

    @property
    def recent(self) -> Totals:
        """Totals of the requested period; of this process since its start if that is the scope."""
        series = self.minutes or self.hours
        return series.totals if series else self.process

    def as_metrics(self) -> AliasMetrics:
        """Return what Prometheus' text format shows; totals of one process are left out."""
        server = self.health.server
        return AliasMetrics(
            self.today if self.scope == "all processes" else None,
            self.health.status.state,
            server.memory_ratio if server else None,
            self.bill.used_ratio if self.bill else None,
            self.health.status.budget,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; times in seconds, memory in bytes."""
        return {
            **self.health.as_dict(),
            "since_seconds": self.period.total_seconds(),
            "scope": self.scope,
            "recent": _format_totals(self.recent),
            "today": _format_totals(self.today),
            "bill": None if self.bill is None else _format_bill(self.bill),
            "errors": [*self.health.errors, *self.errors],
        }


def read_overview(
    cache: UpstashBaseCache,
    *,
    minutes: timedelta | None = None,
    hours: timedelta | None = None,
    now: datetime | None = None,
) -> Plan[Overview]:
    """Return the overview of one cache.

    It costs one billed command for each hour in `minutes`, each day in `hours` (at least today) and
    each other alias of the same database, and once a day one for each alias. The first process of a
    day also reads each day since the one before, and stores their sums with one or two commands.

    Args:
        cache: the cache.
        minutes: length of the series by minute, up to 26 hours.
        hours: length of the series by hour, up to 32 days.
        now: UTC; by default the current time.
    """
    now = now or datetime.now(UTC)
    minutes = minutes and min(minutes, timedelta(seconds=MINUTES_KEPT))
    hours = hours and min(hours, timedelta(seconds=HOURS_KEPT))
    period = minutes or hours or now - get_midnight(now)
    health = yield from probe_health(cache)
    if health.mode == "local" or health.round_trip is None:
        return _describe_process(health, period)
    overview = yield from _read_figures(cache, health, minutes, hours, now)
    # The first command that is billed reads how much of the budget is used.
    health = replace(health, status=cache.database.status)
    return replace(overview, health=health)


def _read_figures(
    cache: UpstashBaseCache,
    health: Health,
    minutes: timedelta | None,
    hours: timedelta | None,
    now: datetime,
) -> Plan[Overview]:
    midnight = get_midnight(now)
    period = minutes or hours or now - midnight
    # What this process has not written yet counts as if it were written now.
    alias, pending = health.alias, get_process_state(SharedWriter).read_pending(health.alias)
    try:
        by_minute = (yield from read_minutes(alias, now - minutes, now)) if minutes else []
        by_hour = yield from read_hours(alias, min(midnight, now - (hours or timedelta())), now)
    except ContinuumError as error:
        return _describe_process(health, period, str(error))
    todays = [each for each in by_hour if each.at >= midnight]
    todays.append(Bucket(_floor(now, _HOUR), pending))
    storage = health.server.memory if health.server else 0
    earlier, bill, errors = yield from _read_month(cache, todays, now, storage)
    known = [*by_minute, *by_hour, *([Bucket(midnight, earlier)] if earlier else ())]
    if not sum_buckets(known).batches:
        return _describe_process(health, period, *errors)
    return Overview(
        health=health,
        period=period,
        scope="all processes",
        process=read_process_totals(alias),
        minutes=_fill(by_minute, pending, minutes, _MINUTE, now) if minutes else None,
        hours=_fill(by_hour, pending, hours, _HOUR, now) if hours else None,
        today=sum_buckets(todays),
        month=None if earlier is None else add_up([earlier, sum_buckets(todays)]),
        bill=bill,
        errors=errors,
    )


def _read_month(
    cache: UpstashBaseCache, todays: Sequence[Bucket], now: datetime, storage: int
) -> Plan[tuple[Totals | None, Bill | None, tuple[str, ...]]]:
    """Return the month until yesterday, the bill, and why one of them is missing."""
    earlier = None
    try:
        earlier = yield from read_until_yesterday(cache.database, now)
        today = sum_buckets(todays)
        bill = yield from read_bill(cache.database, today, now, todays, storage=storage)
    except ContinuumError as error:
        return earlier, None, (str(error),)
    return earlier, bill, ()


def _describe_process(health: Health, period: timedelta, *errors: str) -> Overview:
    totals = read_process_totals(health.alias, is_local=health.mode == "local")
    return Overview(health, period, "this process", totals, None, None, totals, None, None, errors)


def _fill(
    buckets: Sequence[Bucket], pending: Totals, period: timedelta, unit: timedelta, now: datetime
) -> Series:
    """Return the buckets of a period, with empty ones in the gaps."""
    last = _floor(now, unit)
    count = int((last - _floor(now - period, unit)) / unit) + 1
    totals = {last - unit * number: Totals() for number in reversed(range(count))}
    for bucket in (*buckets, Bucket(last, pending)):
        if bucket.at in totals:
            totals[bucket.at] += bucket.totals
    return Series(period, tuple(Bucket(at, each) for at, each in totals.items()))


def _floor(at: datetime, unit: timedelta) -> datetime:
    at = at.replace(second=0, microsecond=0)
    return at if unit == _MINUTE else at.replace(minute=0)


def _format_totals(totals: Totals) -> dict[str, Any]:
    counts = totals.as_dict()
    del counts["samples"]  # for the savings report
    return {
        **counts,
        "hit_rate": totals.hit_rate,
        "error_rate": totals.error_rate,
        "p50_seconds": totals.estimate_quantile(0.5),
        "p95_seconds": totals.estimate_quantile(0.95),
        "p99_seconds": totals.estimate_quantile(0.99),
    }


def _format_bill(bill: Bill) -> dict[str, Any]:
    return {
        "plan": bill.plan,
        "commands": bill.commands,
        "limit": bill.limit,
        "used": bill.used_ratio,
        "projected_commands": None if bill.is_early else bill.projected,
        "projected_range": None if bill.is_early else [bill.least, bill.most],
        "projected_dollars": None if bill.is_early else bill.dollars,
    }
