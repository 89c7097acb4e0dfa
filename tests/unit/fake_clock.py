"""A clock that a test sets."""

from __future__ import annotations


class FakeClock:
    """Returns `now`, in seconds."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now
