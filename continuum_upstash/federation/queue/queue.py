"""`Queue`: enqueue jobs, reserve them, and look after them. The commands are in plans.py."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from continuum_upstash.federation.database import FederationDatabase
from continuum_upstash.federation.queue.job import Job
from continuum_upstash.federation.queue.members import MAX_PRIORITY, DeadLetter
from continuum_upstash.federation.queue.plans import MAX_RESERVED, JobOptions, QueuePlans
from continuum_upstash.federation.queue.results import (
    DeadJob,
    EnqueuedJob,
    QueueSize,
    ReservedJobs,
)
from continuum_upstash.federation.sync_tokens import collect_sync_tokens
from continuum_upstash.plans.effects import Plan

R = TypeVar("R")

DEFAULT_LIFETIME: Final = 24 * 60 * 60
MAX_VISIBILITY: Final = 12 * 60 * 60
_MAX_DELAY: Final = 366 * 24 * 60 * 60
_MAX_ATTEMPTS: Final = 1000
_is_name: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


class Queue:
    """A queue of jobs in the database of an alias; any number of processes may use it.

    Each job is run at least once: again after its worker was killed or was slower than the lease,
    and after an enqueue that was repeated because its reply was lost. The methods never use the
    local fallback. Each method that sends commands has an async version with the prefix ``a``.

    Making a queue costs nothing: nothing is sent or resolved before it is used.

    Args:
        name: letters, digits, ``_``, ``.`` and ``-``, at most 64.
        using: an entry of CACHES whose database does not evict keys.
        wake: publish a message for each enqueue (1 billed command), so that idle workers start at
            once; without it they start at their next poll.

    Every method that sends a command can raise these errors.

    Raises:
        Unavailable: the database did not reply. An enqueue may have been stored nevertheless.
        ReplyError: the database returned an error: CapacityExceeded if it is full.
        ImproperlyConfiguredFederation: the alias has no database, or one that evicts keys.
    """

    def __init__(self, name: str, using: str = "federation", *, wake: bool = True) -> None:
        if not _is_name(name):
            raise ValueError(
                f"Invalid queue name {name!r}: use up to 64 letters, digits, '_', '.' and '-'."
            )
        self.name, self.using, self.wake = name, using, wake

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, using={self.using!r})"

    @property
    def database(self) -> FederationDatabase:
        """The database of the alias, as this process is configured now."""
        return FederationDatabase(self.using, f"Queue '{self.name}'")

    @property
    def plans(self) -> QueuePlans:
        """The plans of this queue, to be run with `run` or `arun`."""
        return QueuePlans(self.database, self.name, wake=self.wake)

    def run(self, plan: Plan[R]) -> R:
        """Run a plan on the queue's database in this thread; return its result."""
        return self.database.run(plan)

    async def arun(self, plan: Plan[R]) -> R:
        """Run a plan on the queue's database in the running event loop; return its result."""
        return await self.database.arun(plan)

    # ---- producers

    def enqueue(
        self,
        payload: object,
        *,
        priority: int = 0,
        delay: float | None = None,
        unique: str | None = None,
        max_attempts: int = 5,
        lifetime: float | None = DEFAULT_LIFETIME,
    ) -> EnqueuedJob:
        """Enqueue a job.

        Billed: 1 command, and 1 to wake workers; 3 instead of 1 with `unique`, 4 if a unique name
        is taken over from a job whose lifetime is over.

        Args:
            payload: any value that the alias stores: plain ones as JSON, at most 64 KiB and 100
                levels deep.
            priority: from -100 to 100; greater ones are reserved first.
            delay: seconds until the job is ready.
            unique: a name; while a job with this name exists and its lifetime is not over, it is
                returned instead.
            max_attempts: after that many reservations without an acknowledgement, the job becomes
                a dead letter.
            lifetime: seconds from the time at which the job is ready; a job that no worker has
                reserved by then becomes a dead letter. None: no limit.

        Raises:
            PayloadRejected: the payload is too large, too deep or cannot be stored. Nothing was
                sent.
            ValueError: another argument is out of range.
        """
        options = _make_options(priority, delay, max_attempts, lifetime)
        return self.run(self._enqueue(payload, unique, options))

    async def aenqueue(
        self,
        payload: object,
        *,
        priority: int = 0,
        delay: float | None = None,
        unique: str | None = None,
        max_attempts: int = 5,
        lifetime: float | None = DEFAULT_LIFETIME,
    ) -> EnqueuedJob:
        """Enqueue a job. See `enqueue`."""
        options = _make_options(priority, delay, max_attempts, lifetime)
        return await self.arun(self._enqueue(payload, unique, options))

    def enqueue_many(
        self,
        payloads: Iterable[object],
        *,
        priority: int = 0,
        delay: float | None = None,
        max_attempts: int = 5,
        lifetime: float | None = DEFAULT_LIFETIME,
    ) -> list[EnqueuedJob]:
        """Enqueue jobs in the order of their payloads. The arguments: see `enqueue`.

        If it raises an error, jobs at the beginning may have been enqueued.

        Billed: 1 command for each 500 jobs or 4 MB, and 1 to wake workers.
        """
        options = _make_options(priority, delay, max_attempts, lifetime)
        return self.run(self._enqueue_many(payloads, options))

    async def aenqueue_many(
        self,
        payloads: Iterable[object],
        *,
        priority: int = 0,
        delay: float | None = None,
        max_attempts: int = 5,
        lifetime: float | None = DEFAULT_LIFETIME,
    ) -> list[EnqueuedJob]:
        """Enqueue jobs in the order of their payloads. See `enqueue_many`."""
        options = _make_options(priority, delay, max_attempts, lifetime)
        return await self.arun(self._enqueue_many(payloads, options))

    # ---- workers

    def reserve(self, n: int = 1, *, visibility: float = 30) -> ReservedJobs:
        """Reserve jobs that are ready: by priority, then in the order of the enqueues.

        Each job is leased to the caller: no other call returns it before the lease ends.

        Billed: 3 commands (a script) however many jobs there are, 2 if the queue is empty. One
        more once a second, to look for delayed jobs and ended leases behind those that are ready;
        TIME once per process in five minutes; up to 4 more when jobs become dead letters.

        Args:
            n: at most 100.
            visibility: the length of the leases in seconds, at most 12 hours.

        Raises:
            ValueError: an argument is out of range.
        """
        return self.run(self._reserve(n, visibility))

    async def areserve(self, n: int = 1, *, visibility: float = 30) -> ReservedJobs:
        """Reserve jobs that are ready. See `reserve`."""
        return await self.arun(self._reserve(n, visibility))

    def ack_many(self, jobs: Iterable[Job]) -> int:
        """Remove jobs that are done; return how many of them were still leased. See `Job.ack`.

        Billed: 1 command for each 4 MB, and 4 for each unique job.
        """
        return self.run(self._ack_many([*jobs]))

    async def aack_many(self, jobs: Iterable[Job]) -> int:
        """Remove jobs that are done. See `ack_many`."""
        return await self.arun(self._ack_many([*jobs]))

    def release_many(self, jobs: Iterable[Job]) -> int:
        """Give jobs back without counting the attempt; return how many were still leased.

        Billed: 1 command for each 4 MB, 2 for each job, and 1 to wake workers.
        """
        return self.run(self._release_many([*jobs]))

    async def arelease_many(self, jobs: Iterable[Job]) -> int:
        """Give jobs back without counting the attempt. See `release_many`."""
        return await self.arun(self._release_many([*jobs]))

    def extend_many(self, jobs: Iterable[Job], seconds: float = 30) -> list[Job]:
        """Let leases end in `seconds` from now; return the jobs whose lease was lost.

        Billed: 1 command for each 4 MB; 2 if a lease was lost.

        Raises:
            ValueError: the time is out of range.
        """
        return self.run(self._extend_many([*jobs], seconds))

    async def aextend_many(self, jobs: Iterable[Job], seconds: float = 30) -> list[Job]:
        """Let leases end later; return the jobs whose lease was lost. See `extend_many`."""
        return await self.arun(self._extend_many([*jobs], seconds))

    def next_due(self) -> float | None:
        """Return the seconds until a job is due; 0: one is ready; None: none, or it is paused.

        On a global database a read replica may reply, which does not have the newest jobs yet.

        Billed: 1 command.
        """
        return self.run(self.plans.read_next_due())

    async def anext_due(self) -> float | None:
        """Return the seconds until a job is due. See `next_due`."""
        return await self.arun(self.plans.read_next_due())

    # ---- operators

    def size(self) -> QueueSize:
        """Return how many jobs there are. Billed: 4 commands."""
        return self.run(self._size())

    async def asize(self) -> QueueSize:
        """Return how many jobs there are. See `size`."""
        return await self.arun(self._size())

    def oldest(self) -> float | None:
        """Return the seconds since the oldest job that is ready was enqueued; None if none is.

        Billed: 1 command for each priority in use, and 1.
        """
        return self.run(self.plans.read_oldest())

    async def aoldest(self) -> float | None:
        """Return the age of the oldest job that is ready. See `oldest`."""
        return await self.arun(self.plans.read_oldest())

    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadJob]:
        """Return dead letters, the newest first. Billed: 1 command for each 100.

        Dead letters are kept until `requeue` or `discard`.
        """
        return self.run(self._dead(limit, offset))

    async def adead(self, limit: int = 100, offset: int = 0) -> list[DeadJob]:
        """Return dead letters, the newest first. See `dead`."""
        return await self.arun(self._dead(limit, offset))

    def requeue(self, jobs: Iterable[DeadJob], *, lifetime: float | None = DEFAULT_LIFETIME) -> int:
        """Make dead letters ready again; return how many of them there still were.

        They keep ID, priority and max_attempts, and lose their unique name. What was not a job
        stays a dead letter.

        Billed: 1 command for each 4 MB, 2 for each job, and 1 to wake workers.
        """
        return self.run(self.plans.requeue([job.text for job in jobs], lifetime))

    async def arequeue(
        self, jobs: Iterable[DeadJob], *, lifetime: float | None = DEFAULT_LIFETIME
    ) -> int:
        """Make dead letters ready again. See `requeue`."""
        return await self.arun(self.plans.requeue([job.text for job in jobs], lifetime))

    def discard(self, jobs: Iterable[DeadJob]) -> int:
        """Delete dead letters; return how many of them there still were.

        Billed: 1 command for each 4 MB.
        """
        return self.run(self.plans.discard([job.text for job in jobs]))

    async def adiscard(self, jobs: Iterable[DeadJob]) -> int:
        """Delete dead letters. See `discard`."""
        return await self.arun(self.plans.discard([job.text for job in jobs]))

    def pause(self) -> None:
        """Let `reserve` return no jobs, in all processes. Billed: 1 command."""
        self.run(self.plans.pause())

    async def apause(self) -> None:
        """Let `reserve` return no jobs, in all processes. See `pause`."""
        await self.arun(self.plans.pause())

    def resume(self) -> None:
        """End a pause. Billed: 1 command, and 1 to wake workers."""
        self.run(self.plans.resume())

    async def aresume(self) -> None:
        """End a pause. See `resume`."""
        await self.arun(self.plans.resume())

    # ---- plans

    def _enqueue(
        self, payload: object, unique: str | None, options: JobOptions
    ) -> Plan[EnqueuedJob]:
        tokens = collect_sync_tokens()
        if unique is None:
            (job_id,) = yield from self.plans.enqueue([payload], options, tokens)
            return EnqueuedJob(job_id)
        found = yield from self.plans.enqueue_unique(payload, unique, options, tokens)
        return EnqueuedJob(*found)

    def _enqueue_many(
        self, payloads: Iterable[object], options: JobOptions
    ) -> Plan[list[EnqueuedJob]]:
        ids = yield from self.plans.enqueue(payloads, options, collect_sync_tokens())
        return [EnqueuedJob(job_id) for job_id in ids]

    def _reserve(self, n: int, visibility: float) -> Plan[ReservedJobs]:
        if not 1 <= n <= MAX_RESERVED:
            raise ValueError(f"n must be from 1 to {MAX_RESERVED}, not {n!r}.")
        _check_seconds("visibility", visibility, MAX_VISIBILITY)
        found = yield from self.plans.reserve(n, visibility, secrets.token_hex(4))
        end = found.lease_end / 1000
        jobs = ReservedJobs(Job(self, member, payload, end) for member, payload in found.jobs)
        jobs.next_due, jobs.is_paused, jobs.dead = found.next_due, found.is_paused, found.dead
        return jobs

    def _ack_many(self, jobs: Sequence[Job]) -> Plan[int]:
        removed = yield from self.plans.acknowledge([job.member for job in jobs])
        for job in jobs:
            job.outcome = "done" if removed else "lost"
        return removed

    def _release_many(self, jobs: Sequence[Job]) -> Plan[int]:
        if not jobs:
            return 0
        released = yield from self.plans.release([job.member for job in jobs])
        for job in jobs:
            job.outcome = "released" if released else "lost"
        return released

    def _extend_many(self, jobs: Sequence[Job], seconds: float) -> Plan[list[Job]]:
        _check_seconds("seconds", seconds, MAX_VISIBILITY)
        if not jobs:
            return []
        end, held = yield from self.plans.extend([job.member for job in jobs], seconds)
        lost = []
        for job, is_held in zip(jobs, held, strict=True):
            if is_held:
                job.lease_end = end / 1000
            else:
                lost.append(job)
        return lost

    def _size(self) -> Plan[QueueSize]:
        return QueueSize(*(yield from self.plans.read_size()))

    def _dead(self, limit: int, offset: int) -> Plan[list[DeadJob]]:
        plans, jobs = self.plans, []
        for text, dead_since in (yield from plans.read_dead(limit, offset)):
            letter = DeadLetter.parse(text)
            member, payload = letter.member, plans.decode_dead(letter)
            parts = (member.id, member.attempts, member.priority) if member else ("0", 0, 0)
            job_id, attempts, priority = parts
            jobs.append(
                DeadJob(job_id, payload, letter.reason, attempts, priority, dead_since, text)
            )
        return jobs


def _make_options(
    priority: int, delay: float | None, max_attempts: int, lifetime: float | None
) -> JobOptions:
    if type(priority) is not int or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise ValueError(f"priority must be from -100 to 100, not {priority!r}.")
    if type(max_attempts) is not int or not 1 <= max_attempts <= _MAX_ATTEMPTS:
        raise ValueError(f"max_attempts must be from 1 to {_MAX_ATTEMPTS}, not {max_attempts!r}.")
    if delay is not None and not 0 <= delay <= _MAX_DELAY:
        raise ValueError(f"delay must be from 0 to {_MAX_DELAY} seconds, not {delay!r}.")
    if lifetime is not None:
        _check_seconds("lifetime", lifetime, _MAX_DELAY)
    return JobOptions(priority, delay, max_attempts, lifetime)


def _check_seconds(name: str, seconds: float, longest: float) -> None:
    if not 0 < seconds <= longest:
        raise ValueError(f"{name} must be above 0 and at most {longest} seconds, not {seconds!r}.")
