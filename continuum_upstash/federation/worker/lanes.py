"""When a worker looks at a queue again, without any I/O.

A queue is looked at when a message says that there is a job, when its next job is due, and
otherwise at a slow poll, which finds what a lost message did not tell. Without messages the poll
begins quickly after a job and becomes slower.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from typing import Final

from continuum_upstash.federation.queue.queue import Queue

_FIRST_POLL: Final = 0.2  # seconds, without messages
_DUE_JITTER: Final = 0.05  # seconds, so that workers do not look at the same moment


class Lane:
    """One queue of a worker.

    Args:
        queue: the queue.
        poll: seconds between two looks while it is idle.
        clock: returns monotonic seconds.
        rng: returns a number from 0 to 1.

    Attributes:
        next_look: when to look again, in monotonic seconds.
        is_ready: whether a job is expected: the look is a reserve, and not a peek.
        is_paused: as of the last reserve.
        wakes: how many messages have come.
    """

    def __init__(
        self,
        queue: Queue,
        poll: float,
        clock: Callable[[], float],
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.queue = queue
        self._poll, self._clock, self._rng = poll, clock, rng
        self._interval = _FIRST_POLL
        self.next_look = clock()
        self.is_ready, self.is_paused = True, False
        self._lock = threading.Lock()
        self.wakes = 0

    def wake(self) -> None:
        """Expect a job now; may be called from another thread."""
        with self._lock:
            self.wakes += 1
            self.is_ready, self.next_look = True, -math.inf

    def sleep(self, next_due: float | None, *, has_messages: bool, wakes: int) -> None:
        """Look again when the next job is due, or at the next poll.

        Args:
            next_due: seconds; 0: now; None: no job is known.
            has_messages: whether enqueues wake the worker.
            wakes: the attribute before the look. A message that came since then may be about a job
                that the look did not see.
        """
        with self._lock:
            if self.wakes == wakes:
                self._sleep(next_due, has_messages=has_messages)

    def _sleep(self, next_due: float | None, *, has_messages: bool) -> None:
        now = self._clock()
        if next_due == 0:
            self.is_ready, self.next_look, self._interval = True, now, _FIRST_POLL
            return
        self.is_ready = False
        longest = self._poll
        if not has_messages:
            longest, self._interval = self._interval, min(self._interval * 1.5, self._poll)
        # Never shorter than the poll, which is the price that is promised.
        seconds = longest * (1 + 0.1 * self._rng())
        if next_due is not None:
            seconds = min(seconds, next_due + _DUE_JITTER * self._rng())
        self.next_look = now + seconds

    def restart(self) -> None:
        """Poll quickly again: there was a job."""
        self._interval = _FIRST_POLL
