"""Reads the shared statistics; each hash is one billed command.

With many processes a hash may take megabytes. A round trip therefore reads a few hashes only, so
that each keeps within READ_TIMEOUT.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Replies
from continuum_upstash.stats.shared.schema import Bucket, day_key, decode_buckets, hour_key
from continuum_upstash.stats.totals import Totals, add_up

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_HASHES_PER_BATCH: Final = 8


def read_minutes(alias: str, begin: datetime, end: datetime) -> Plan[list[Bucket]]:
    """Return the minutes from `begin` to `end`; those of the last 26 hours are stored."""
    hashes = [(hour_key(alias, hour), hour) for hour in _list_steps(begin, end, _HOUR)]
    buckets = yield from _read(hashes, _MINUTE)
    return [each for each in buckets if each.at > begin - _MINUTE]


def read_hours(alias: str, begin: datetime, end: datetime) -> Plan[list[Bucket]]:
    """Return the hours from `begin` to `end`; those of the last 32 days are stored."""
    hashes = [(day_key(alias, day), day) for day in _list_steps(begin, end, _DAY)]
    buckets = yield from _read(hashes, _HOUR)
    return [each for each in buckets if each.at > begin - _HOUR]


def read_day(aliases: Iterable[str], midnight: datetime) -> Plan[list[Bucket]]:
    """Return the hours of several aliases in the day that begins at `midnight`."""
    return (yield from _read([(day_key(alias, midnight), midnight) for alias in aliases], _HOUR))


def sum_buckets(buckets: Iterable[Bucket]) -> Totals:
    return add_up(each.totals for each in buckets)


def _list_steps(begin: datetime, end: datetime, unit: timedelta) -> list[datetime]:
    first = begin.replace(minute=0, second=0, microsecond=0)
    if unit is _DAY:
        first = first.replace(hour=0)
    return [first + i * unit for i in range(int((end - first) / unit) + 1)]


def _read(hashes: list[tuple[str, datetime]], unit: timedelta) -> Plan[list[Bucket]]:
    buckets: list[Bucket] = []
    for first in range(0, len(hashes), _HASHES_PER_BATCH):
        group = hashes[first : first + _HASHES_PER_BATCH]
        commands = [("HGETALL", key) for key, _ in group]
        replies: Replies = yield Batch(commands, needs_server=True)
        for (_, begin), reply in zip(group, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise reply
            fields: Any = reply
            buckets += decode_buckets(fields, begin, unit)
    return buckets
