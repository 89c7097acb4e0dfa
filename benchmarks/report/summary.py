"""The figures of a table: medians, quartiles, and ratios to the first client.

A ratio is the median of the ratios of all rounds. Both sides of a ratio are measured within a
second or two, so a change in the machine's load affects both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Quartiles:
    """The median and the quartiles around it."""

    median: float
    lower: float
    upper: float

    @property
    def relative_range(self) -> float:
        """The interquartile range (IQR), relative to the median."""
        return (self.upper - self.lower) / self.median if self.median else 0.0


def compute_quartiles(values: Sequence[float]) -> Quartiles:
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    lower, middle, upper = quantiles(values, n=4, method="inclusive")
    return Quartiles(middle, lower, upper)


def compute_ratio(values: Sequence[float], baseline: Sequence[float]) -> Quartiles | None:
    """Return the ratios of two rows, round by round; None if the baseline measured zero."""
    if not all(baseline):
        return None
    return compute_quartiles([a / b for a, b in zip(values, baseline, strict=True)])


def compute_percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that is at least as large as `percent` of all values."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


@dataclass(frozen=True, slots=True)
class Column:
    """
    Attributes:
        title: the heading.
        unit: the unit of the figures, if the heading does not have it.
        has_ratio: whether the ratio to the first client is shown.
    """

    title: str
    unit: str = ""
    has_ratio: bool = True


@dataclass(slots=True)
class Report:
    """The result of a table.

    Attributes:
        name: the table's name on the command line.
        title: the heading.
        corner: the first heading cell.
        columns: the columns.
        labels: the rows; ratios are relative to the first.
        samples: one figure for each round, by column title and row.
        skipped: why a row is missing, by row.
        failed: why a cell is missing, by row and case.
        plotted: the titles of the columns in the plot; empty: no plot.
    """

    name: str
    title: str
    corner: str
    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    samples: dict[str, dict[str, list[float]]]
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    plotted: tuple[str, ...] = ()

    @property
    def rounds(self) -> int:
        return max(
            (len(each) for rows in self.samples.values() for each in rows.values()), default=0
        )

    def get_quartiles(self, column: Column, label: str) -> Quartiles | None:
        values = self.samples[column.title].get(label)
        return compute_quartiles(values) if values else None

    def get_ratio(self, column: Column, label: str) -> Quartiles | None:
        rows = self.samples[column.title]
        values, baseline = rows.get(label), rows.get(self.labels[0])
        if not column.has_ratio or not values or not baseline:
            return None
        return compute_ratio(values, baseline)

    def list_ranges(self) -> list[float]:
        """Return the relative interquartile range of each cell."""
        return [
            compute_quartiles(values).relative_range
            for rows in self.samples.values()
            for values in rows.values()
            if values
        ]


def compute_median_range(report: Report) -> tuple[float, float]:
    """Return the median and the largest relative interquartile range of a report's cells."""
    ranges = report.list_ranges() or [0.0]
    return median(ranges), max(ranges)
