"""Rates as they are written: "100/m", "10/5m", "20/500ms", "100 per minute", "5/hour"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from continuum_upstash.errors import ConfigurationError

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WORDS: Final = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_FORM: Final = re.compile(r"(\d{1,9})\s*(?:/|per\b)\s*(\d{1,10})?\s*([a-z]+)")
_LONGEST: Final = 31 * _UNITS["d"]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many milliseconds."""

    limit: int
    window: int

    def __str__(self) -> str:
        unit = next(unit for unit in reversed(_UNITS) if self.window % _UNITS[unit] == 0)
        count = self.window // _UNITS[unit]
        return f"{self.limit}/{'' if count == 1 else count}{unit}"


def parse(text: str) -> Rate:
    """Return the rate that a text stands for.

    Raises:
        ConfigurationError: it stands for none, or for one that cannot be kept.
    """
    form = _FORM.fullmatch(str(text).strip().lower())
    unit = _WORDS.get(form[3]) if form else None
    if form is None or unit is None:
        raise ConfigurationError(
            f'A rate reads like "100/m", "10/5m" or "100 per minute", with ms, s, m, h or d; '
            f"{text!r} does not."
        )
    rate = Rate(int(form[1]), int(form[2] or 1) * _UNITS[unit])
    if rate.limit < 1 or not 1 <= rate.window <= _LONGEST:
        raise ConfigurationError(
            f"The rate {text!r} cannot be kept: allow at least one, in between 1 ms and 31 days."
        )
    return rate
