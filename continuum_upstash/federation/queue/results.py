"""What the methods of a queue return."""

from __future__ import annotations

from typing import Any, NamedTuple

from continuum_upstash.federation.queue.job import Job


class EnqueuedJob(NamedTuple):
    """What `enqueue` returns.

    Attributes:
        id: 24 hexadecimal digits; jobs of one priority are reserved in their order.
        is_new: False if a job with the same unique name exists: then `id` is the ID of that job.
    """

    id: str
    is_new: bool = True


class ReservedJobs(list[Job]):
    """What `reserve` returns: a list of jobs.

    Attributes:
        next_due: seconds until another job is due; 0: one may be ready; None: there is none.
        is_paused: whether the queue is paused.
        dead: how many jobs became dead letters in this call, because their lifetime was over,
            or because the worker of the last attempt has not ended it.
    """

    next_due: float | None = None
    is_paused: bool = False
    dead: int = 0


class QueueSize(NamedTuple):
    """What `size` returns.

    Attributes:
        ready: jobs that a worker can reserve now.
        waiting: jobs that are delayed, and jobs that a worker has reserved.
        dead: dead letters.
        is_paused: whether `reserve` returns no jobs.
    """

    ready: int
    waiting: int
    dead: int
    is_paused: bool


class DeadJob(NamedTuple):
    """A dead letter.

    Attributes:
        id: of the job; "0" if the member was no job.
        payload: None if it cannot be decoded.
        reason: why it is a dead letter.
        attempts: how often it was reserved.
        priority: of the job.
        dead_since: Unix seconds.
        text: the dead letter as it is stored.
    """

    id: str
    payload: Any
    reason: str
    attempts: int
    priority: int
    dead_since: float
    text: str
