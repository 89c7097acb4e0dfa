"""The four figures at the top of the panel: of the last hour and the last day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.health.overview import Overview
from continuum_upstash.panel.formatting import (
    Text,
    format_count,
    format_milliseconds,
    format_percentage,
)
from continuum_upstash.stats.totals import Totals


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure.

    Attributes:
        value: of the last hour, or of this process since it started.
        day: of the last day; empty: unknown.
    """

    title: Text
    value: str
    day: str = ""


def make_tiles(overview: Overview) -> list[Tile]:
    if overview.minutes is None or overview.hours is None:
        return [Tile(title, format_value(overview.process)) for title, format_value in _FIGURES]
    hour, day = overview.minutes.totals, overview.hours.totals
    return [Tile(title, format_value(hour), format_value(day)) for title, format_value in _FIGURES]


_FIGURES: Final[tuple[tuple[Text, Callable[[Totals], str]], ...]] = (
    (_("Hit rate"), lambda totals: format_percentage(totals.hit_rate)),
    (
        _("Latency, 95th percentile"),
        lambda totals: format_milliseconds(totals.estimate_quantile(0.95)),
    ),
    (_("Billed commands"), lambda totals: format_count(totals.all_billed)),
    (_("Errors"), lambda totals: format_count(sum(totals.errors.values()))),
)
