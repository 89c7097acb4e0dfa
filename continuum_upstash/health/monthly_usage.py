"""The billed commands of a month, for all aliases of this site that use the same database.

Each alias has statistics of its own. The first process that reads them on a day stores the sums of
the month until last midnight; others read these sums once a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.probe import get_upstash_caches, list_upstash_aliases
from continuum_upstash.plans.effects import Plan
from continuum_upstash.stats.bill import Bill, MonthlyUsage, estimate_writes, project_bill
from continuum_upstash.stats.conf import get_setting
from continuum_upstash.stats.pricing import get_pricing_plan_name, get_terms
from continuum_upstash.stats.shared import reader
from continuum_upstash.stats.shared.month_summary import (
    MonthSummary,
    read_month_summary,
    write_month_summary,
)
from continuum_upstash.stats.shared.schema import Bucket
from continuum_upstash.stats.totals import Totals, add_up
from continuum_upstash.transports.registry import Database

_DAY: Final = timedelta(days=1)
_RETRY_AFTER: Final = timedelta(minutes=5)  # of a month that could not be read
_LATE_WRITES: Final = timedelta(minutes=5)  # by processes whose clocks are slow
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _CachedMonth:
    """The result of the last read of a database's month until last midnight.

    Attributes:
        begin, end: when the result is valid: for a day, as it no longer changes, or for some
            minutes if the read failed.
        first: the first hour with billed commands; empty: there is none.
    """

    begin: datetime = _NEVER
    end: datetime = _NEVER
    result: Totals | ContinuumError | None = None
    first: Sequence[Bucket] = ()


def get_midnight(now: datetime) -> datetime:
    """Return when the day of `now` began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def read_until_yesterday(database: Database, now: datetime) -> Plan[Totals]:
    """Return the totals of one alias from the beginning of the month until last midnight.

    Args:
        database: that of the alias.
        now: UTC.

    Raises:
        ContinuumError: they cannot be read, or could not within the last five minutes.
    """
    cached = database.extras.get(_CachedMonth)
    if cached.result is None or not cached.begin <= now < cached.end:
        yield from _read(database.config.alias, now, cached)
    if isinstance(cached.result, ContinuumError):
        raise copy(cached.result)  # the traceback of one object would grow with each raise
    assert cached.result is not None
    return cached.result


def read_bill(
    database: Database,
    today: Totals,
    now: datetime,
    hours: Iterable[Bucket] = (),
    *,
    storage: int = 0,
) -> Plan[Bill]:
    """Return this month's bill of a database.

    Args:
        database: that of one alias.
        today: the alias's totals since midnight.
        now: UTC.
        hours: the alias's hours since midnight, from which the projection is made.
        storage: bytes of data in the database.

    Raises:
        ContinuumError: the totals cannot be read, or PLAN, REGIONS, PROD_PACK or PRICES is invalid.
    """
    others = list(_list_aliases_of_same_server(database))
    aliases = [each.config.alias for each in others]
    theirs = yield from reader.read_day(aliases, get_midnight(now))
    month = add_up([today, reader.sum_buckets(theirs)])
    found = [*hours, *theirs]
    for each in (database, *others):
        month += yield from read_until_yesterday(each, now)
        found += each.extras.get(_CachedMonth).first
    first = _find_first(found)
    usage = MonthlyUsage(
        month.all_billed,
        first_hour=first[0].at if first else None,
        in_first_hour=reader.sum_buckets(first).all_billed,
        writes=estimate_writes(month),
        traffic=month.bytes_in + month.bytes_out,
        storage=storage,
    )
    alias = database.config.alias
    return project_bill(get_pricing_plan_name(alias), usage, now, get_terms(alias))


def _find_first(hours: Iterable[Bucket]) -> list[Bucket]:
    """Return what is recorded of the first hour with billed commands."""
    billed = [each for each in hours if each.totals.all_billed]
    begin = min((each.at for each in billed), default=None)
    return [each for each in billed if each.at == begin]


def _read(alias: str, now: datetime, cached: _CachedMonth) -> Plan[None]:
    midnight = get_midnight(now)
    try:
        summary = yield from _read_until(alias, midnight, may_write=now >= midnight + _LATE_WRITES)
    except ContinuumError as error:
        cached.begin, cached.end, cached.result = now, now + _RETRY_AFTER, copy(error)
    else:
        cached.begin, cached.end, cached.result = midnight, midnight + _DAY, summary.totals
        cached.first = ()
        if summary.first_hour is not None:
            first = Totals(billed=summary.in_first_hour)
            cached.first = (Bucket(summary.first_hour, first),)


def _read_until(alias: str, midnight: datetime, *, may_write: bool) -> Plan[MonthSummary]:
    """Return the month until a midnight: the stored summary plus the days since."""
    month = midnight.replace(day=1)
    if month == midnight:
        return MonthSummary(month)
    summary = yield from read_month_summary(alias, month)
    if summary.until >= midnight:
        return summary
    is_new = summary.until == month
    hours = yield from reader.read_hours(alias, summary.until, midnight - _DAY)
    summary.until = midnight
    summary.totals += reader.sum_buckets(hours)
    if summary.first_hour is None and (first := _find_first(hours)):
        summary.first_hour = first[0].at
        summary.in_first_hour = reader.sum_buckets(first).all_billed
    if may_write and get_setting("SHARED"):
        yield from write_month_summary(alias, month, summary, is_new=is_new)
    return summary


def _list_aliases_of_same_server(database: Database) -> Iterator[Database]:
    """Yield the databases of this site's other aliases on the same server."""
    config = database.config
    for alias in list_upstash_aliases():
        try:
            found = [cache.database for cache in get_upstash_caches([alias])]
        except ImproperlyConfigured:
            continue  # check E002 reports it; it sends nothing that could be billed
        for each in found:
            other = each.config
            if other.alias != config.alias and other.server_identity == config.server_identity:
                yield each
