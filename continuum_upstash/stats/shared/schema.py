"""The shared statistics as they stand in the database.

One hash for each hour, with a field for each minute and process; one for each day, with a field
for each hour and process. A field holds that process' sums as JSON. It is written as a whole and
not counted up, so that one command carries all sums and a repeated write changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Command
from continuum_upstash.stats.totals import Tally

_PREFIX: Final = "continuum:stats:"
MINUTES_KEPT: Final = 26 * 3600  # seconds
HOURS_KEPT: Final = 32 * 24 * 3600  # a month, of which the last day reads the first


@dataclass(frozen=True, slots=True)
class Point:
    """What all processes together did in a minute, or in an hour.

    Attributes:
        at: its begin, UTC.
    """

    at: datetime
    tally: Tally


def hour_name(alias: str, at: datetime) -> str:
    """Return the key of the hash of an hour's minutes."""
    return f"{_PREFIX}{_whose(alias)}:{at:%Y%m%d%H}"


def day_name(alias: str, at: datetime) -> str:
    """Return the key of the hash of a day's hours."""
    return f"{_PREFIX}{_whose(alias)}:{at:%Y%m%d}"


def _whose(alias: str) -> str:
    """Return an alias with its KEY_PREFIX: by that, sites that share a database are told apart."""
    prefix = settings.CACHES.get(alias, {}).get("KEY_PREFIX", "")
    return f"{prefix}:{alias}" if prefix else alias


def dump(tally: Tally) -> bytes:
    filled = {name: value for name, value in tally.as_dict().items() if value}
    return json.dumps(filled, separators=(",", ":")).encode()


def points(fields: Sequence[Any], begin: datetime, unit: timedelta) -> list[Point]:
    """Return the sums over processes of a hash's fields, in order of time.

    Args:
        fields: HGETALL's reply.
        begin: of the hour or day that the hash is of.
        unit: what a field's number counts: minutes or hours.

    Raises:
        ReplyError: somebody else wrote there, or another version of this package.
    """
    sums: dict[int, Tally] = {}
    try:
        for field, value in zip(fields[::2], fields[1::2], strict=True):
            number = int(bytes(field).partition(b":")[0])
            tally = sums.setdefault(number, Tally())
            tally += Tally.from_dict(json.loads(value))
    except (ValueError, TypeError, AttributeError) as error:
        raise ReplyError(
            "The shared statistics hold what this version cannot read. Delete the keys that begin "
            f"with {_PREFIX} to begin anew."
        ) from error
    return [Point(begin + number * unit, sums[number]) for number in sorted(sums)]


def is_write(commands: Sequence[Command]) -> bool:
    """Return whether a batch is one that stores shared statistics."""
    name, *arguments = commands[0]
    return name == "HSET" and str(arguments[0]).startswith(_PREFIX)


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
