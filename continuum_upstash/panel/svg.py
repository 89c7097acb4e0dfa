"""Lines and bars as SVG paths in a box of 100 by 100, which the page stretches to its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_BAR: Final = 0.8  # of its slot
_LEAST: Final = 2.0  # so that one error among thousands of commands is seen


def line(values: Sequence[float | None], top: float) -> str:
    """Return a path with a gap where there is no value; what has no neighbour is in `dots`."""
    return " ".join("M" + " L".join(run) for run in _runs(values, top) if len(run) > 1)


def dots(values: Sequence[float | None], top: float) -> str:
    """Return a path with a stroke of no length for each value that has no neighbour."""
    return " ".join(f"M{run[0]}h0" for run in _runs(values, top) if len(run) == 1)


def bars(values: Sequence[float], top: float) -> str:
    """Return a path with a bar in each slot that has a value."""
    slot = 100 / len(values)
    edge, width = slot * (1 - _BAR) / 2, slot * _BAR
    return " ".join(
        f"M{number * slot + edge:.2f} 100v-{_bar_height(value, top):.2f}h{width:.2f}V100z"
        for number, value in enumerate(values)
        if value
    )


def top_of(values: Sequence[float | None], least: float) -> float:
    """Return a round number that no value exceeds: 1, 2 or 5 times a power of ten."""
    most = max((value for value in values if value is not None), default=0.0)
    if most <= least:
        return least
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * step for step in (1, 2, 5, 10) if most <= power * step * (1 + 1e-9))


def _runs(values: Sequence[float | None], top: float) -> list[list[str]]:
    """Return the points of values that stand side by side."""
    runs: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            x, y = (number + 0.5) * 100 / len(values), 100 - _height(value, top)
            runs[-1].append(f"{x:.2f} {y:.2f}")
    return runs


def _height(value: float, top: float) -> float:
    return 100 * min(value / top, 1.0)


def _bar_height(value: float, top: float) -> float:
    return max(_height(value, top), _LEAST)
