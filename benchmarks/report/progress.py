"""A progress bar on standard error; standard output contains only the tables."""

from __future__ import annotations

import sys
import time

WIDTH = 24


class Progress:
    """Shows the share of the tables' time limits that is over; silent unless stderr is a terminal.

    Args:
        seconds: the sum of the time limits of all tables.
    """

    def __init__(self, seconds: float) -> None:
        self.total = seconds
        self.started = time.monotonic()
        self.is_shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if not self.is_shown:
            return
        elapsed = time.monotonic() - self.started
        full = round(min(elapsed / self.total, 1.0) * WIDTH)
        bar = f"[{'#' * full}{'.' * (WIDTH - full)}]"
        left = max(0, round(self.total - elapsed))
        sys.stderr.write(f"\r\x1b[K{bar} at most {left // 60}:{left % 60:02} left, {text}")
        sys.stderr.flush()

    def clear(self) -> None:
        if self.is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
