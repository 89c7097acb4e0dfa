"""The maximum that a history of allowed checks has in any window."""

from __future__ import annotations


def get_maximum_in_any_window(window, times):
    """Return the largest number of times in a window; `times` are sorted."""
    maximum = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        maximum = max(maximum, last - first + 1)
    return maximum
