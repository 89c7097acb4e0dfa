"""Times to live in words, and from a form."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from continuum_upstash.health.quantities import format_count
from continuum_upstash.panel.formatting import Text

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

UNITS: Final[Mapping[str, tuple[int, Text]]] = MappingProxyType(
    {
        "seconds": (1, _("seconds")),
        "minutes": (_MINUTE, _("minutes")),
        "hours": (_HOUR, _("hours")),
        "days": (_DAY, _("days")),
    }
)
"""The units of the form: their seconds, and their names."""

MAX_SECONDS: Final = 10 * 365 * _DAY


def format_ttl(milliseconds: int | None) -> Text:
    """Return the remaining time in its two largest units; None: no expiry."""
    if milliseconds is None:
        return pgettext_lazy("cache health", "never")
    seconds = -(-milliseconds // 1000)
    if seconds < 2 * _MINUTE:
        return format_lazy(_("{seconds} s"), seconds=seconds)
    if seconds < _HOUR:
        return format_lazy(_("{minutes} min"), minutes=seconds // _MINUTE)
    if seconds < _DAY:
        hours, rest = divmod(seconds, _HOUR)
        return format_lazy(_("{hours} h {minutes} min"), hours=hours, minutes=rest // _MINUTE)
    days, rest = divmod(seconds, _DAY)
    return format_lazy(_("{days} d {hours} h"), days=format_count(days), hours=rest // _HOUR)


def parse_seconds(amount: str, unit: str) -> int | None:
    """Return the seconds of a form's number and unit; None: there is no such time.

    0 is a valid time: the key expires at once.
    """
    if unit not in UNITS or not (amount.isascii() and amount.isdigit()) or len(amount) > 10:
        return None
    seconds = int(amount) * UNITS[unit][0]
    return seconds if seconds <= MAX_SECONDS else None
