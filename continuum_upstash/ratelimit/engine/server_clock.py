"""The database's time as this process knows it: a sample of it, carried on by our steady clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from continuum_upstash.protocol import Reply

_SAMPLE_SECONDS: Final = 300.0

# The steady clock of a process that was frozen stands still, and a wall clock may be set: where
# they disagree by more, either has happened.
_DISAGREEMENT_SECONDS: Final = 0.1


class _Sample(NamedTuple):
    ahead: float  # seconds; what the database's clock shows beyond our steady one
    steady: float
    wall: float


class Clock:
    """Milliseconds since the epoch, without asking.

    Args:
        steady: monotonic seconds.
        wall: seconds that go on while the process does not.
    """

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._steady, self._wall = steady, wall
        self._sample: _Sample | None = None

    def read(self) -> int | None:
        """Return the database's time, or None if it has to be asked for."""
        sample = self._sample
        if sample is None:
            return None
        now = self._steady()
        age = now - sample.steady
        if age > _SAMPLE_SECONDS:
            return None
        if abs(self._wall() - sample.wall - age) > _DISAGREEMENT_SECONDS:
            return None
        return int((now + sample.ahead) * 1000)

    def mark(self) -> float:
        """Return what `learn` wants to know: when TIME was sent."""
        return self._steady()

    def learn(self, sent: float, reply: Reply) -> int:
        """Take the reply to a TIME, as of the middle of its round trip; return the time."""
        assert isinstance(reply, list)
        seconds, microseconds = (int(part) for part in reply if isinstance(part, bytes))
        now = self._steady()
        ahead = seconds + microseconds / 1e6 - (sent + now) / 2
        self._sample = _Sample(ahead, now, self._wall())
        return int((now + ahead) * 1000)
