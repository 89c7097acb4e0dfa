"""How many attempts the workers of a queue have ended in an hour, and in which way.

Each worker adds its counts once a minute, if there are any. The keys expire.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, get_args

from continuum_upstash.federation.queue.job import Outcome
from continuum_upstash.plans.effects import Plan, call_many
from continuum_upstash.protocol import Command

_LIFETIME: Final = 48 * 3600  # seconds
_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


class RecentOutcomes(NamedTuple):
    """
    Attributes:
        counts: of this hour and the one before.
        seconds: the length of this period.
    """

    counts: Mapping[Outcome, int]
    seconds: float

    @property
    def per_minute(self) -> float:
        """Jobs that were done, per minute."""
        return 60 * self.counts.get("done", 0) / self.seconds

    @property
    def failed(self) -> int:
        """Attempts that failed."""
        return self.counts.get("retried", 0) + self.counts.get("dead", 0)


def add_outcomes(jobs_key: str, counts: Mapping[Outcome, int], now: datetime) -> Plan[None]:
    """Add counts to those of the hour; 1 billed command for each outcome, and EXPIRE."""
    key = _make_key(jobs_key, now)
    commands: list[Command] = [
        ("HINCRBY", key, outcome, count) for outcome, count in counts.items() if count
    ]
    if commands:
        yield from call_many([*commands, ("EXPIRE", key, _LIFETIME)], needs_server=True)


def read_outcomes(jobs_key: str, now: datetime) -> Plan[RecentOutcomes]:
    """Return the counts of this hour and the one before; 2 billed commands."""
    hours = (now - timedelta(hours=1), now)
    commands: list[Command] = [("HGETALL", _make_key(jobs_key, hour)) for hour in hours]
    replies = yield from call_many(commands, needs_server=True)
    counts: dict[Outcome, int] = dict.fromkeys(_OUTCOMES, 0)
    for reply in replies:
        fields = dict(zip(reply[::2], reply[1::2], strict=False))
        for outcome in _OUTCOMES:
            value = fields.get(outcome.encode(), b"0")
            counts[outcome] += int(value) if value.isdigit() and len(value) <= 15 else 0
    return RecentOutcomes(counts, 3600.0 + 60 * now.minute + now.second)


def _make_key(jobs_key: str, at: datetime) -> str:
    return f"{jobs_key}:stats:{at.astimezone(UTC):%Y%m%d%H}"
