"""What a worker is told, and what it costs while it has nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from continuum_upstash.federation.worker.handlers import Handler

_DAY: Final = 24 * 60 * 60
_MIN_POLL_SECONDS: Final = 60.0
_POLL_SECONDS_PER_QUEUE: Final = 40.0
_TIME_SECONDS: Final = 300.0  # ratelimit/engine/server_clock.py
MIN_SUBSCRIBED_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """
    Attributes:
        handlers: by the name of the queue; jobs of an earlier queue are run first.
        using: the alias of the queues.
        concurrency: jobs that run at a time.
        visibility: seconds of a lease, which is extended while the job runs.
        max_batch: jobs that are reserved at a time; fewer where they take longer.
        grace: seconds that running jobs have when the worker stops.
        wake: subscribe to the messages of enqueues.
        once: stop when no job is ready.
        max_seconds: stop after this time; None: never.
        max_jobs: stop after this many jobs; None: never.
    """

    handlers: Mapping[str, Handler]
    using: str = "federation"
    concurrency: int = 1
    visibility: float = 30.0
    max_batch: int = 50
    grace: float = 20.0
    wake: bool = True
    once: bool = False
    max_seconds: float | None = None
    max_jobs: int | None = None

    @property
    def poll_seconds(self) -> float:
        """The seconds between two looks at an idle queue, which finds what no message tells."""
        return compute_poll_seconds(len(self.handlers))


def compute_poll_seconds(queues: int) -> float:
    return max(_MIN_POLL_SECONDS, _POLL_SECONDS_PER_QUEUE * queues)


def estimate_idle_commands(queues: int) -> int:
    """Return how many commands a worker without jobs is billed a day, at most.

    For each queue one look in `compute_poll_seconds`; TIME every five minutes; a subscription, of
    which the service ends one every five minutes at worst.
    """
    looks = queues * _DAY / compute_poll_seconds(queues)
    return round(looks + _DAY / _TIME_SECONDS + _DAY / MIN_SUBSCRIBED_SECONDS)
