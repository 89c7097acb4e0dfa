"""Stores what all processes did in a month until a midnight, so that its days are read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from continuum_upstash.errors import ContinuumError, ReplyError
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.stats.sampling import trim_samples
from continuum_upstash.stats.shared.schema import HOURS_KEPT, encode_totals, month_key
from continuum_upstash.stats.totals import Totals

_FIELD: Final = "summary"
_MALFORMED: Final = (
    ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError, RecursionError,
)  # fmt: skip


@dataclass(slots=True)
class MonthSummary:
    """What all processes did in a month until a midnight.

    Attributes:
        until: that midnight, UTC.
        totals: the sums.
        first_hour: the first hour with billed commands, UTC; None: there is none.
        in_first_hour: the billed commands of that hour.
    """

    until: datetime
    totals: Totals = field(default_factory=Totals)
    first_hour: datetime | None = None
    in_first_hour: int = 0


def read_month_summary(alias: str, month: datetime) -> Plan[MonthSummary]:
    """Return what is stored of the month that begins at `month`; one billed command.

    Raises:
        ContinuumError: it cannot be read.
    """
    replies: Replies = yield Batch((("HGETALL", month_key(alias, month)),), needs_server=True)
    (reply,) = replies
    if isinstance(reply, ReplyError):
        raise reply
    # What cannot be read is computed anew from the days.
    with suppress(*_MALFORMED):
        return _decode(reply, month)
    return MonthSummary(month)


def write_month_summary(
    alias: str, month: datetime, summary: MonthSummary, *, is_new: bool
) -> Plan[None]:
    """Store a summary; one billed command, two if it is the month's first. Errors are ignored."""
    key = month_key(alias, month)
    first = summary.first_hour
    values = {
        "until": summary.until.timestamp(),
        "first_hour": None if first is None else first.timestamp(),
        "in_first_hour": summary.in_first_hour,
        "totals": json.loads(encode_totals(_trim(summary.totals))),
    }
    commands: list[Command] = [("HSET", key, _FIELD, json.dumps(values, separators=(",", ":")))]
    if is_new:
        commands.append(("EXPIRE", key, HOURS_KEPT))
    with suppress(ContinuumError):  # a read-only token
        yield Batch(commands, needs_server=True)


def _trim(totals: Totals) -> Totals:
    return replace(totals, samples=trim_samples(totals.samples))


def _decode(reply: Reply, month: datetime) -> MonthSummary:
    fields: Any = reply
    names: Sequence[Any] = fields[::2]
    values = json.loads(dict(zip(map(bytes, names), fields[1::2], strict=True))[_FIELD.encode()])
    until, first = values["until"], values["first_hour"]
    totals = Totals()
    totals += Totals.from_dict(values["totals"])
    summary = MonthSummary(
        datetime.fromtimestamp(until, UTC),
        totals,
        None if first is None else datetime.fromtimestamp(first, UTC),
        int(values["in_first_hour"]),
    )
    is_midnight = summary.until.hour == summary.until.minute == summary.until.second == 0
    if summary.until < month or not is_midnight:
        raise ValueError
    return summary
