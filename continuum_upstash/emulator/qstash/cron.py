"""Cron expressions of five fields, with or without a zone: ``CRON_TZ=Europe/Paris 0 9 * * 1``."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FIELDS: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),  # 0 and 7 are Sunday
)
_NAMES: Final = {
    name: number
    for names, first in (
        (("sun", "mon", "tue", "wed", "thu", "fri", "sat"), 0),
        (
            ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
            1,
        ),
    )
    for number, name in enumerate(names, first)
}
_MAX_DAYS: Final = 366 * 8  # 29 February recurs within eight years


@dataclass(frozen=True, slots=True)
class Cron:
    """The times at which a schedule sends its message."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    zone: tzinfo
    either_day: bool  # day of the month and weekday are both limited: one of them suffices

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Raises:
            ValueError: the expression is invalid, or no date matches it.
        """
        zone: tzinfo = UTC
        first, _, rest = text.strip().partition(" ")
        if first.startswith(("CRON_TZ=", "TZ=")):
            zone, text = _load_zone(first.partition("=")[2]), rest
        parts = text.split()
        if len(parts) != 5:
            raise ValueError(f"invalid cron {text!r}: it must have five fields")
        minutes, hours, days, months, weekdays = (
            _parse_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)
        )
        cron = cls(
            minutes,
            hours,
            days,
            months,
            weekdays=frozenset(day % 7 for day in weekdays),
            zone=zone,
            either_day="*" not in parts[2] and "*" not in parts[4],
        )
        cron.compute_next(0)
        return cron

    def compute_next(self, after: float) -> float:
        """Return the first matching Unix time after another one, in seconds.

        Raises:
            ValueError: no date matches.
        """
        start = datetime.fromtimestamp(after, self.zone).replace(second=0, microsecond=0)
        start += timedelta(minutes=1)
        for number in range(_MAX_DAYS):
            day = start.replace(hour=0, minute=0) + timedelta(days=number) if number else start
            if not self._matches_day(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = day.replace(hour=hour, minute=minute)
                    if found >= start and found.timestamp() > after:
                        return found.timestamp()
        raise ValueError("invalid cron: no date matches it")

    def _matches_day(self, day: datetime) -> bool:
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        matches = in_month or in_week if self.either_day else in_month and in_week
        return matches and day.month in self.months


def _load_zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"invalid cron: unknown time zone {name!r}") from error


def _parse_field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    try:
        return frozenset(
            number for part in text.split(",") for number in _parse_range(part, low, high)
        )
    except ValueError as error:
        raise ValueError(f"invalid cron: {text!r} is no {name}") from error


def _parse_range(text: str, low: int, high: int) -> range:
    base, has_step, step = text.partition("/")
    if base == "*":
        first, last = low, high
    else:
        start, is_range, end = base.partition("-")
        first = _parse_number(start)
        last = _parse_number(end) if is_range else high if has_step else first
    numbers = range(first, last + 1, int(step) if has_step else 1)
    if not numbers or numbers[0] < low or numbers[-1] > high:
        raise ValueError
    return numbers


def _parse_number(text: str) -> int:
    name = _NAMES.get(text.lower())
    return int(text) if name is None else name
