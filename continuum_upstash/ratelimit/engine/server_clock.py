"""The database's time, without a command per check.

A sample of TIME is continued by the monotonic clock of the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from continuum_upstash.protocol import Reply

_MAX_AGE_SECONDS: Final = 300.0

# The monotonic clock stops while the process is suspended, and the wall clock can be set. If the
# two diverge by more than this, either has happened: a new sample is needed.
_MAX_DIVERGENCE_SECONDS: Final = 0.1


class _Sample(NamedTuple):
    offset: float  # seconds to add to the monotonic clock
    monotonic: float
    wall: float


class ServerClock:
    """Estimates the time of the database's clock.

    Args:
        monotonic: returns monotonic seconds.
        wall: returns seconds of a clock that continues while the process is suspended.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic, self._wall = monotonic, wall
        self._sample: _Sample | None = None

    def get_time(self) -> int | None:
        """Return Unix milliseconds, or None if a new sample is needed."""
        sample = self._sample
        if sample is None:
            return None
        now = self._monotonic()
        age = now - sample.monotonic
        if age > _MAX_AGE_SECONDS:
            return None
        if abs(self._wall() - sample.wall - age) > _MAX_DIVERGENCE_SECONDS:
            return None
        return int((now + sample.offset) * 1000)

    def start_sync(self) -> float:
        """Return the monotonic seconds at which TIME is sent, for `sync`."""
        return self._monotonic()

    def sync(self, started: float, reply: Reply) -> int:
        """Take a sample, and return Unix milliseconds.

        Args:
            started: the result of `start_sync`.
            reply: the reply to TIME; it is assumed to be from the middle of the round trip.

        Raises:
            ValueError: it is not a reply to TIME.
        """
        parts = reply if isinstance(reply, list) else ()
        seconds, microseconds = (int(part) for part in parts if isinstance(part, bytes))
        now = self._monotonic()
        offset = seconds + microseconds / 1e6 - (started + now) / 2
        self._sample = _Sample(offset, now, self._wall())
        return int((now + offset) * 1000)
