"""Which charts a span of time gets, and what stands at their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.panel.figures import Span
from continuum_upstash.panel.formatting import Text, count, milliseconds, moment, percentage
from continuum_upstash.panel.svg import bars, dots, line, top_of
from continuum_upstash.stats.totals import Totals

_LEAST_LATENCY: Final = 0.001  # seconds
_LEAST_COMMANDS: Final = 10.0
_NOTHING: Final = _("Nothing was asked in this time.")


@dataclass(frozen=True, slots=True)
class Mark:
    """A line or a set of bars.

    Attributes:
        style: a class of the style sheet.
        path: an SVG path in a box of 100 by 100; empty where there is nothing to draw.
        dots: the same for values of a line that have no neighbour.
        value: of a line the last one, of bars their sum.
    """

    style: str
    label: Text
    path: str
    value: str
    dots: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """
    Attributes:
        top, middle: the axis' labels at its end and half way.
        begin, end: when the first slot begins, and the last one.
        nothing: what to say where there is nothing to draw.
    """

    title: Text
    marks: tuple[Mark, ...]
    top: str
    middle: str
    begin: datetime
    end: datetime
    nothing: Text = _NOTHING

    @property
    def empty(self) -> bool:
        return not any(mark.path or mark.dots for mark in self.marks)


@dataclass(frozen=True, slots=True)
class Row:
    """What the charts show of one slot, for their table."""

    at: datetime
    p50: float | None
    p95: float | None
    hit_rate: float | None
    commands: int
    errors: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A span as charts and as a table."""

    name: str
    title: Text
    charts: tuple[Chart, ...]
    rows: tuple[Row, ...]


def sheet(name: str, title: Text, span: Span) -> Sheet:
    rows = [_row(moment(point.at.timestamp()), point.totals) for point in span.slots]
    return Sheet(
        name,
        title,
        (_latency(rows), _hit_rate(rows), _traffic(rows)),
        tuple(row for row in reversed(rows) if row.commands or row.errors),
    )


def _row(at: datetime, totals: Totals) -> Row:
    return Row(
        at,
        totals.estimate_quantile(0.5),
        totals.estimate_quantile(0.95),
        totals.hit_rate,
        sum(totals.commands.values()),
        sum(totals.errors.values()),
    )


def _latency(rows: Sequence[Row]) -> Chart:
    slow, usual = [row.p95 for row in rows], [row.p50 for row in rows]
    top = top_of(slow, _LEAST_LATENCY)
    marks = (
        _line("main", _("95th percentile"), slow, top, milliseconds(_last(slow))),
        _line("quiet", _("median"), usual, top, milliseconds(_last(usual))),
    )
    return _chart(_("Latency"), marks, milliseconds(top), milliseconds(top / 2), rows)


def _hit_rate(rows: Sequence[Row]) -> Chart:
    rates = [row.hit_rate for row in rows]
    marks = (_line("main", _("hit rate"), rates, 1.0, percentage(_last(rates))),)
    chart = _chart(_("Hit rate"), marks, percentage(1), percentage(0.5), rows)
    return replace(chart, nothing=_("No key was read in this time."))


def _traffic(rows: Sequence[Row]) -> Chart:
    commands, errors = [row.commands for row in rows], [row.errors for row in rows]
    top = top_of([*commands, *errors], _LEAST_COMMANDS)
    marks = (
        Mark("bars", _("sent"), bars(commands, top), count(sum(commands))),
        Mark("errors", _("errors"), bars(errors, top), count(sum(errors))),
    )
    return _chart(_("Commands sent, and errors"), marks, count(top), count(top / 2), rows)


def _line(style: str, label: Text, values: Sequence[float | None], top: float, value: str) -> Mark:
    return Mark(style, label, line(values, top), value, dots(values, top))


def _chart(
    title: Text, marks: tuple[Mark, ...], top: str, middle: str, rows: Sequence[Row]
) -> Chart:
    return Chart(title, marks, top, middle, rows[0].at, rows[-1].at)


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
