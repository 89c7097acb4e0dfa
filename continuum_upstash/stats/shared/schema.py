"""How the shared statistics are stored.

There is one hash for each hour, with a field for each minute and process, and one for each day,
with a field for each hour and process. A field holds the totals of that process as JSON. It is
always written in full, so that one command carries all totals and a repeated write changes nothing.
A hash for each month holds the sum of its past days, see `month_summary`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings

from continuum_upstash.errors import ReplyError
from continuum_upstash.keys import BUDGET_KEYS, STATISTICS_KEYS
from continuum_upstash.protocol import Argument, Command
from continuum_upstash.stats.totals import Totals

MINUTES_KEPT: Final = 26 * 3600  # seconds
# What the package itself writes, by the first command of the batch.
_OVERHEAD_KEYS: Final[Mapping[Argument, str]] = {"HSET": STATISTICS_KEYS, "INCRBY": BUDGET_KEYS}
HOURS_KEPT: Final = 32 * 24 * 3600  # seconds: a month's first day is kept until its last


@dataclass(frozen=True, slots=True)
class Bucket:
    """What all processes did in one minute or one hour.

    Attributes:
        at: when it begins, UTC.
    """

    at: datetime
    totals: Totals


def hour_key(alias: str, at: datetime) -> str:
    """Return the key of the hash with an hour's minutes."""
    return f"{STATISTICS_KEYS}{_get_namespace(alias)}:{at:%Y%m%d%H}"


def day_key(alias: str, at: datetime) -> str:
    """Return the key of the hash with a day's hours."""
    return f"{STATISTICS_KEYS}{_get_namespace(alias)}:{at:%Y%m%d}"


def month_key(alias: str, at: datetime) -> str:
    """Return the key of the hash with the summary of a month."""
    return f"{STATISTICS_KEYS}{_get_namespace(alias)}:{at:%Y%m}"


def _get_namespace(alias: str) -> str:
    """Return an alias with its KEY_PREFIX, which distinguishes sites that share a database."""
    prefix = settings.CACHES.get(alias, {}).get("KEY_PREFIX", "")
    return f"{prefix}:{alias}" if prefix else alias


def encode_totals(totals: Totals) -> bytes:
    nonzero = {name: value for name, value in totals.as_dict().items() if value}
    return json.dumps(nonzero, separators=(",", ":")).encode()


def decode_buckets(fields: Sequence[Any], begin: datetime, unit: timedelta) -> list[Bucket]:
    """Return the totals of all processes from a hash's fields, in order of time.

    Args:
        fields: the reply to HGETALL.
        begin: when the hash's hour or day begins.
        unit: what the number of a field counts: minutes or hours.

    Raises:
        ReplyError: the hash was written by another program or another version of this package.
    """
    buckets: dict[int, Totals] = {}
    try:
        for field, value in zip(fields[::2], fields[1::2], strict=True):
            number = int(bytes(field).partition(b":")[0])
            totals = buckets.setdefault(number, Totals())
            totals += Totals.from_dict(json.loads(value))
    except (ValueError, TypeError, AttributeError) as error:
        raise ReplyError(
            "The shared statistics contain data that this version cannot read. To reset them, "
            f"delete the keys that begin with {STATISTICS_KEYS}"
        ) from error
    return [Bucket(begin + number * unit, buckets[number]) for number in sorted(buckets)]


def is_overhead(commands: Sequence[Command]) -> bool:
    """Return whether a batch writes the shared statistics, or the counter of a budget."""
    command = commands[0]
    prefix = _OVERHEAD_KEYS.get(command[0])
    return prefix is not None and len(command) > 1 and str(command[1]).startswith(prefix)


def to_utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
