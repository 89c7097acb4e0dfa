"""Quantities as text in the active language: the same in the panel and in the commands."""

from __future__ import annotations

from typing import Final

from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format

UNKNOWN: Final = "—"
_MIN_SHARE: Final = 0.001


def format_count(number: float) -> str:
    return number_format(number, 0, force_grouping=True)


def format_milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    value = seconds * 1000
    return f"{number_format(value, 2 if 0 < value < 10 else 0, force_grouping=True)} ms"


def format_percentage(share: float | None) -> str:
    if share is None:
        return UNKNOWN
    if 0 < share < _MIN_SHARE:
        return f"< {_format_percent(_MIN_SHARE)}"
    return _format_percent(share)


def _format_percent(share: float) -> str:
    value = round(share * 100.0, 1)
    return f"{number_format(value, 0 if value.is_integer() else 1)} %"


def format_bytes(size: int) -> str:
    return filesizeformat(size).replace("\xa0", " ")
