"""What has become of the jobs of a worker, to be sent to the database in batches.

A job whose handler returned is acknowledged with others, in one command. A call that fails is
repeated later: the leases are extended meanwhile.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from continuum_upstash.federation.queue.job import Job, Outcome


class Ended(NamedTuple):
    """A job whose handler has ended.

    Attributes:
        job: the job.
        reason: the error of the handler, or None.
        seconds: how long it ran.
    """

    job: Job
    reason: str | None
    seconds: float


class Outbox:
    """
    Args:
        report: called with each job and its outcome, once the database knows it.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, report: Callable[[Ended, Outcome], None], clock: Callable[[], float]
    ) -> None:
        self._report, self._clock = report, clock
        self._lock = threading.Lock()
        self._ended: list[Ended] = []
        self._oldest = 0.0

    def __len__(self) -> int:
        return len(self._ended)

    @property
    def age(self) -> float:
        """The seconds since the oldest entry was added; 0 if there is none."""
        return self._clock() - self._oldest if self._ended else 0.0

    def add(self, ended: Ended) -> None:
        with self._lock:
            if not self._ended:
                self._oldest = self._clock()
            self._ended.append(ended)

    def flush(self) -> None:
        """Send everything.

        Raises:
            Unavailable, ReplyError: of the database; what was not sent stays.
        """
        with self._lock:
            pending, self._ended = self._ended, []
        try:
            self._acknowledge(pending)
            while pending:
                self._end(pending[0])
                del pending[0]
        finally:
            with self._lock:
                self._ended[:0] = pending

    def _acknowledge(self, pending: list[Ended]) -> None:
        """Acknowledge the jobs that are done, and remove them from the list."""
        groups: dict[str, list[Ended]] = defaultdict(list)
        for ended in pending:
            if ended.reason is None and ended.job.outcome is None:
                groups[ended.job.queue.name].append(ended)
        for group in groups.values():
            jobs = [ended.job for ended in group]
            removed = jobs[0].queue.ack_many(jobs)
            # The reply is only a number: if it is less, it is not known which ones were lost.
            for position, ended in enumerate(group):
                self._report(ended, "done" if position < removed else "lost")
                pending.remove(ended)

    def _end(self, ended: Ended) -> None:
        job = ended.job
        if job.outcome is None:  # else its handler has ended it
            job.retry(reason=ended.reason or "")
        assert job.outcome is not None
        self._report(ended, job.outcome)


def describe_error(error: BaseException) -> str:
    """Return the class and the text of a handler's error, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
