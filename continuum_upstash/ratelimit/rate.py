"""Rates as text: "100/m", "10/5m", "20/500ms", "100 per minute", "5/hour"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from continuum_upstash.errors import ConfigurationError

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIT_NAMES: Final = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_PATTERN: Final = re.compile(r"(\d{1,9})\s*(?:/|per\b)\s*(\d{1,10})?\s*([a-z]+)")
_MAX_WINDOW: Final = 31 * _UNITS["d"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A maximum per window.

    Attributes:
        limit: the maximum.
        window: milliseconds.
    """

    limit: int
    window: int

    def __str__(self) -> str:
        unit = next(unit for unit in reversed(_UNITS) if self.window % _UNITS[unit] == 0)
        count = self.window // _UNITS[unit]
        return f"{self.limit}/{'' if count == 1 else count}{unit}"


def parse_rate(text: str) -> Rate:
    """Return the rate that a text describes.

    Raises:
        ConfigurationError: the text is not a rate, or its limit or window is out of range.
    """
    match = _PATTERN.fullmatch(str(text).strip().lower())
    unit = _UNIT_NAMES.get(match[3]) if match else None
    if match is None or unit is None:
        raise ConfigurationError(
            f'{text!r} is not a rate. Write a rate like "100/m", "10/5m" or "100 per minute", with '
            "the units ms, s, m, h or d."
        )
    rate = Rate(int(match[1]), int(match[2] or 1) * _UNITS[unit])
    if rate.limit < 1 or not 1 <= rate.window <= _MAX_WINDOW:
        raise ConfigurationError(
            f"The rate {text!r} is out of range: the limit must be at least 1, and the window "
            "between 1 ms and 31 days."
        )
    return rate
