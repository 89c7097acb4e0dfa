"""Reads the shared statistics, as plans; every hash is one billed command.

Many processes fill a hash with megabytes: a few of them make a round trip, so that each keeps
within READ_TIMEOUT.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Replies
from continuum_upstash.stats.shared.schema import Point, day_name, hour_name, points
from continuum_upstash.stats.totals import Tally

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_AT_ONCE: Final = 8  # hashes


def minutes(alias: str, begin: datetime, end: datetime) -> Plan[list[Point]]:
    """Return the minutes from `begin` to `end`, of which the last day is kept."""
    names = [(hour_name(alias, hour), hour) for hour in _steps(begin, end, _HOUR)]
    found = yield from _read(names, _MINUTE)
    return [point for point in found if point.at > begin - _MINUTE]


def hours(alias: str, begin: datetime, end: datetime) -> Plan[list[Point]]:
    """Return the hours from `begin` to `end`, of which 32 days are kept."""
    names = [(day_name(alias, day), day) for day in _steps(begin, end, _DAY)]
    found = yield from _read(names, _HOUR)
    return [point for point in found if point.at > begin - _HOUR]


def day(aliases: Iterable[str], midnight: datetime) -> Plan[Tally]:
    """Return what aliases did together in the day that begins at `midnight`."""
    found = yield from _read([(day_name(alias, midnight), midnight) for alias in aliases], _HOUR)
    return summed(found)


def summed(found: list[Point]) -> Tally:
    tally = Tally()
    for point in found:
        tally += point.tally
    return tally


def _steps(begin: datetime, end: datetime, unit: timedelta) -> list[datetime]:
    first = begin.replace(minute=0, second=0, microsecond=0)
    if unit is _DAY:
        first = first.replace(hour=0)
    return [first + i * unit for i in range(int((end - first) / unit) + 1)]


def _read(hashes: list[tuple[str, datetime]], unit: timedelta) -> Plan[list[Point]]:
    found: list[Point] = []
    for first in range(0, len(hashes), _AT_ONCE):
        some = hashes[first : first + _AT_ONCE]
        replies: Replies = yield Batch([("HGETALL", name) for name, _ in some], needs_server=True)
        for (_, begin), reply in zip(some, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise reply
            fields: Any = reply
            found += points(fields, begin, unit)
    return found
