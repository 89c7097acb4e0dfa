"""What a database is billed in a month, by all aliases of this site that are the same database.

Each alias has sums of its own, and the month up to last midnight costs a billed command for each
day of each: a process reads it once a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health import report
from continuum_upstash.plans.effects import Plan, pair
from continuum_upstash.stats.pricing import Bill, get_pricing_plan_name, project_bill
from continuum_upstash.stats.shared import reader
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.registry import Database

_DAY: Final = timedelta(days=1)
_AGAIN: Final = timedelta(minutes=5)  # until a month is asked for again that could not be read


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What was found of a month up to last midnight.

    Attributes:
        begin, end: when that is not asked for again: for a day, since it changes no more, or for
            a while when it could not be read.
    """

    begin: datetime
    end: datetime
    found: Totals | ContinuumError


_known: WeakKeyDictionary[Database, _Earlier] = WeakKeyDictionary()


class Month:
    """The month of one cache's database."""

    def __init__(self, cache: UpstashBaseCache) -> None:
        self._run, self._arun = cache.run, cache.arun
        self._database, self._alias = cache.database, cache.database.config.alias

    def plan_earlier(self, now: datetime) -> Plan[Totals]:
        """Return the alias' sums from the month's begin to last midnight.

        Args:
            now: UTC.

        Raises:
            ContinuumError: they cannot be read, or could not be some minutes ago.
        """
        return (yield from _earlier(self._database, now))

    earlier, aearlier = pair(plan_earlier)

    def plan_bill(self, today: Totals, now: datetime) -> Plan[Bill]:
        """Return the database's bill.

        Args:
            today: the alias' own sums since midnight.
            now: UTC.

        Raises:
            ContinuumError: the sums cannot be read, or the plan is unknown.
        """
        others = list(_others(self._database))
        aliases = [each.config.alias for each in others]
        sums = [today, (yield from reader.read_day(aliases, midnight_of(now)))]
        for database in (self._database, *others):
            sums += [(yield from _earlier(database, now))]
        commands = sum(each.all_billed for each in sums)
        return project_bill(get_pricing_plan_name(self._alias), commands, now)

    bill, abill = pair(plan_bill)


def midnight_of(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _others(database: Database) -> Iterator[Database]:
    """Yield what the site's other aliases of the same database have of it."""
    config = database.config
    for alias in report.aliases():
        try:
            found = [cache.database for cache in report.ours([alias])]
        except (ImproperlyConfigured, ImportError):
            continue  # nothing is billed by it; the check E002 says why
        for each in found:
            if (
                each.config.alias != config.alias
                and each.config.server_identity == config.server_identity
            ):
                yield each


def _earlier(database: Database, now: datetime) -> Plan[Totals]:
    known = _known.get(database)
    if known is None or not known.begin <= now < known.end:
        known = _known[database] = yield from _find(database.config.alias, now)
    if isinstance(known.found, ContinuumError):
        raise copy(known.found)  # one that is raised often would grow its traceback
    return known.found


def _find(alias: str, now: datetime) -> Plan[_Earlier]:
    midnight = midnight_of(now)
    begin = midnight.replace(day=1)
    if begin == midnight:
        return _Earlier(midnight, midnight + _DAY, Totals())
    try:
        points = yield from reader.read_hours(alias, begin, midnight - _DAY)
    except ContinuumError as error:
        return _Earlier(now, now + _AGAIN, copy(error))
    return _Earlier(midnight, midnight + _DAY, reader.sum_buckets(points))
