"""What matters most, to be read at a glance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.panel.figures import Figures
from continuum_upstash.panel.texts import Text, count, milliseconds, percentage
from continuum_upstash.stats.totals import Tally


@dataclass(frozen=True, slots=True)
class Tile:
    """
    Attributes:
        value: of the last hour, or of this process since it started.
        day: of the last day; empty: nobody knows.
    """

    title: Text
    value: str
    day: str = ""


def _hit_rate(tally: Tally) -> str:
    return percentage(tally.hit_rate)


def _latency(tally: Tally) -> str:
    return milliseconds(tally.quantile(0.95))


def _billed(tally: Tally) -> str:
    return count(tally.billed + tally.overhead)


def _errors(tally: Tally) -> str:
    return count(sum(tally.errors.values()))


_FIGURES: Final[tuple[tuple[Text, Callable[[Tally], str]], ...]] = (
    (_("Hit rate"), _hit_rate),
    (_("Latency, 95th percentile"), _latency),
    (_("Billed commands"), _billed),
    (_("Errors"), _errors),
)


def tiles(figures: Figures) -> list[Tile]:
    if figures.hour is None or figures.day is None:
        return [Tile(title, text(figures.own)) for title, text in _FIGURES]
    hour, day = figures.hour.total, figures.day.total
    return [Tile(title, text(hour), text(day)) for title, text in _FIGURES]
