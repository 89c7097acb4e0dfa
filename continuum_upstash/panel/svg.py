"""Lines and bars as SVG paths in a box of 100 by 100, which the page scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_BAR_WIDTH: Final = 0.8  # fraction of its slot
_MIN_BAR_HEIGHT: Final = 2.0  # so that one error among thousands of commands is visible


def draw_line(values: Sequence[float | None], top: float) -> str:
    """Return a path with gaps for missing values; `draw_points` draws values without neighbours."""
    return " ".join("M" + " L".join(each) for each in _segments(values, top) if len(each) > 1)


def draw_points(values: Sequence[float | None], top: float) -> str:
    """Return a path with a zero-length stroke for each value that has no neighbour."""
    return " ".join(f"M{each[0]}h0" for each in _segments(values, top) if len(each) == 1)


def draw_bars(values: Sequence[float], top: float) -> str:
    """Return a path with a bar for each value that is not 0."""
    slot = 100 / len(values)
    margin, width = slot * (1 - _BAR_WIDTH) / 2, slot * _BAR_WIDTH
    return " ".join(
        f"M{number * slot + margin:.2f} 100v-{_bar_height(value, top):.2f}h{width:.2f}V100z"
        for number, value in enumerate(values)
        if value
    )


def choose_axis_max(values: Sequence[float | None], minimum: float) -> float:
    """Return a round number that no value exceeds: 1, 2 or 5 times a power of ten."""
    highest = max((value for value in values if value is not None), default=0.0)
    if highest <= minimum:
        return minimum
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * step for step in (1, 2, 5, 10) if highest <= power * step * (1 + 1e-9))


def _segments(values: Sequence[float | None], top: float) -> list[list[str]]:
    """Return the points of adjacent values."""
    segments: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            segments.append([])
        else:
            x, y = (number + 0.5) * 100 / len(values), 100 - _height(value, top)
            segments[-1].append(f"{x:.2f} {y:.2f}")
    return segments


def _height(value: float, top: float) -> float:
    return 100 * min(value / top, 1.0)


def _bar_height(value: float, top: float) -> float:
    return max(_height(value, top), _MIN_BAR_HEIGHT)
