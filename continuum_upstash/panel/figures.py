"""The figures at the top of the panel: of the last hour and the last day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from django.utils.translation import gettext_lazy as _

from continuum_upstash.health.overview import Overview
from continuum_upstash.health.quantities import format_count, format_milliseconds, format_percentage
from continuum_upstash.panel.formatting import Text
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
        process = overview.process
        figures = _list_figures(process)
        return [Tile(title, format_value(process)) for title, format_value in figures]
    hour, day = overview.minutes.totals, overview.hours.totals
    figures = _list_figures(day)
    return [Tile(title, format_value(hour), format_value(day)) for title, format_value in figures]


def _list_figures(totals: Totals) -> Sequence[_Figure]:
    figures = list(_FIGURES)
    if totals.near_hits:
        figures.append(_NEAR_FIGURE)
    if totals.local_commands:
        figures.append(_LOCAL_FIGURE)
    return figures


_Figure: TypeAlias = tuple[Text, Callable[[Totals], str]]

# Only where a near cache has served reads; the hit rate includes them.
_NEAR_FIGURE: Final[_Figure] = (
    _("Commands saved by the near cache"),
    lambda totals: format_count(totals.near_saved),
)
# Only where the local store has served commands; the other figures contain only its hits.
_LOCAL_FIGURE: Final[_Figure] = (
    _("Commands served by the local store"),
    lambda totals: format_count(totals.local_commands),
)
_FIGURES: Final[tuple[_Figure, ...]] = (
    (_("Hit rate"), lambda totals: format_percentage(totals.hit_rate)),
    (
        _("Latency, 95th percentile"),
        lambda totals: format_milliseconds(totals.estimate_quantile(0.95)),
    ),
    (_("Billed commands"), lambda totals: format_count(totals.all_billed)),
    (_("Errors"), lambda totals: format_count(sum(totals.errors.values()))),
)
