"""The charts of a series, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.health.overview import Series
from continuum_upstash.health.quantities import format_count, format_milliseconds, format_percentage
from continuum_upstash.panel.formatting import Text, to_local_datetime
from continuum_upstash.panel.svg import choose_axis_max, draw_bars, draw_line, draw_points
from continuum_upstash.stats.totals import Totals

_MIN_LATENCY_AXIS: Final = 0.001  # seconds
_MIN_COMMANDS_AXIS: Final = 10.0
_NO_COMMANDS: Final = _("No commands in this period.")


@dataclass(frozen=True, slots=True)
class Plot:
    """A line or a set of bars.

    Attributes:
        style: a class of the style sheet.
        path: an SVG path in a box of 100 by 100; empty if there is nothing to draw.
        points: a path for the values of a line that have no neighbour.
        value: the last value of a line, the sum of bars.
    """

    style: str
    label: Text
    path: str
    value: str
    points: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of a series.

    Attributes:
        top, middle: the labels of the axis at its end and in the middle.
        begin, end: the begin of the first slot and of the last one.
        empty_text: what is shown if there is nothing to draw.
    """

    title: Text
    plots: tuple[Plot, ...]
    top: str
    middle: str
    begin: datetime
    end: datetime
    empty_text: Text = _NO_COMMANDS

    @property
    def is_empty(self) -> bool:
        return not any(plot.path or plot.points for plot in self.plots)


@dataclass(frozen=True, slots=True)
class ChartRow:
    """The values of one slot, for the table."""

    at: datetime
    p50: float | None
    p95: float | None
    hit_rate: float | None
    commands: int
    errors: int


@dataclass(frozen=True, slots=True)
class ChartGroup:
    """A series as charts and as a table."""

    name: str
    title: Text
    charts: tuple[Chart, ...]
    rows: tuple[ChartRow, ...]


def make_chart_group(name: str, title: Text, series: Series) -> ChartGroup:
    rows = [
        _make_row(to_local_datetime(bucket.at.timestamp()), bucket.totals)
        for bucket in series.buckets
    ]
    return ChartGroup(
        name,
        title,
        (_chart_latency(rows), _chart_hit_rate(rows), _chart_commands(rows)),
        tuple(row for row in reversed(rows) if row.commands or row.errors),
    )


def _make_row(at: datetime, totals: Totals) -> ChartRow:
    return ChartRow(
        at,
        totals.estimate_quantile(0.5),
        totals.estimate_quantile(0.95),
        totals.hit_rate,
        sum(totals.commands.values()),
        sum(totals.errors.values()),
    )


def _chart_latency(rows: Sequence[ChartRow]) -> Chart:
    p95, p50 = [row.p95 for row in rows], [row.p50 for row in rows]
    top = choose_axis_max(p95, _MIN_LATENCY_AXIS)
    plots = (
        _plot_line("main", _("95th percentile"), p95, top, format_milliseconds(_find_last(p95))),
        _plot_line("quiet", _("median"), p50, top, format_milliseconds(_find_last(p50))),
    )
    return _make_chart(
        _("Latency"), plots, format_milliseconds(top), format_milliseconds(top / 2), rows
    )


def _chart_hit_rate(rows: Sequence[ChartRow]) -> Chart:
    rates = [row.hit_rate for row in rows]
    plots = (_plot_line("main", _("hit rate"), rates, 1.0, format_percentage(_find_last(rates))),)
    chart = _make_chart(_("Hit rate"), plots, format_percentage(1), format_percentage(0.5), rows)
    return replace(chart, empty_text=_("No keys were read in this period."))


def _chart_commands(rows: Sequence[ChartRow]) -> Chart:
    commands, errors = [row.commands for row in rows], [row.errors for row in rows]
    top = choose_axis_max([*commands, *errors], _MIN_COMMANDS_AXIS)
    plots = (
        Plot("bars", _("commands"), draw_bars(commands, top), format_count(sum(commands))),
        Plot("errors", _("errors"), draw_bars(errors, top), format_count(sum(errors))),
    )
    return _make_chart(
        _("Commands and errors"), plots, format_count(top), format_count(top / 2), rows
    )


def _plot_line(
    style: str, label: Text, values: Sequence[float | None], top: float, value: str
) -> Plot:
    return Plot(style, label, draw_line(values, top), value, draw_points(values, top))


def _make_chart(
    title: Text, plots: tuple[Plot, ...], top: str, middle: str, rows: Sequence[ChartRow]
) -> Chart:
    return Chart(title, plots, top, middle, rows[0].at, rows[-1].at)


def _find_last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
