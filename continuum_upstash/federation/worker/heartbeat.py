"""Extends the leases of the jobs that a worker holds, all of a queue in one command."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation.queue.job import Job
from continuum_upstash.observe import logger


class Heartbeat(threading.Thread):
    """A thread that extends leases before they end.

    Args:
        visibility: seconds of a lease. Leases are extended once half of it is over.
        list_held: returns the jobs whose lease began before the given monotonic time.
        on_extended: called with the jobs whose lease was extended.
        on_lost: called with each job whose lease has ended and that another worker has.
    """

    def __init__(
        self,
        visibility: float,
        list_held: Callable[[float], Iterable[Job]],
        on_extended: Callable[[Iterable[Job]], None],
        on_lost: Callable[[Job], None],
    ) -> None:
        super().__init__(name="federation-heartbeat", daemon=True)
        self._visibility = visibility
        self._list_held, self._on_extended, self._on_lost = list_held, on_extended, on_lost
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._visibility / 8):
            try:
                self.beat()
            except ContinuumError as error:  # the worker itself reports outages
                logger.debug("Leases were not extended: %s", error)
            except Exception:  # noqa: BLE001 a defect must not end the thread and lose all leases
                logger.exception("Unexpected error: leases were not extended")

    def beat(self) -> None:
        """Extend the leases of which half is over."""
        groups: dict[str, list[Job]] = defaultdict(list)
        for job in self._list_held(self._visibility / 2):
            groups[job.queue.name].append(job)
        for jobs in groups.values():
            lost = jobs[0].queue.extend_many(jobs, self._visibility)
            self._on_extended([job for job in jobs if job not in lost])
            for job in lost:
                if job.outcome is None:
                    self._on_lost(job)

    def stop(self) -> None:
        """End the thread; does not wait for it."""
        self._stopped.set()
