"""The worker: reserves jobs, runs their handlers, and ends them in batches."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from time import monotonic
from typing import Any, Final

from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.federation.database import FederationDatabase
from continuum_upstash.federation.queue.job import Job, Outcome
from continuum_upstash.federation.queue.outcome_counts import add_outcomes
from continuum_upstash.federation.queue.queue import Queue
from continuum_upstash.federation.worker.executors import Executor, LoopExecutor, ThreadExecutor
from continuum_upstash.federation.worker.heartbeat import Heartbeat
from continuum_upstash.federation.worker.lanes import Lane
from continuum_upstash.federation.worker.log import log_event
from continuum_upstash.federation.worker.options import WorkerOptions
from continuum_upstash.federation.worker.outbox import Ended, Outbox, describe_error
from continuum_upstash.federation.worker.wake import WakeListener
from continuum_upstash.observe import JobEnded, notify

_TICK_SECONDS: Final = 5.0  # between two updates of the time that the health check reads
_MAX_ACK_SECONDS: Final = 0.5  # how long a job that is done waits for others
_PREFETCH_SECONDS: Final = 1.0  # of work that is reserved before it can start
_MAX_BACKOFF: Final = 30.0
_LAST_FLUSH_SECONDS: Final = 5.0
_JOIN_SECONDS: Final = 2.0
_COUNTS_SECONDS: Final = 60.0  # between two writes of the shared counts


@dataclass(slots=True, eq=False)
class _Held:
    """A job that this worker has reserved and not yet ended; times in monotonic seconds."""

    job: Job
    leased_at: float
    started_at: float | None = None
    has_run: bool = False


class Worker:
    """Runs the jobs of queues until `stop`, or until one of the limits of its options.

    Attributes:
        options: as they were passed.
        outcomes: how many attempts have ended, by outcome.
        last_seen: when the main loop last ran, in monotonic seconds.
        outage: the error of the main loop while it repeats, else None.
        is_stopping: whether no more jobs are started.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        queues = [Queue(name, using=options.using) for name in options.handlers]
        self._lanes = [Lane(queue, options.poll_seconds, monotonic) for queue in queues]
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._held: dict[int, _Held] = {}
        self._outbox = Outbox(self._report, monotonic)
        self._average = 0.0  # seconds per job
        self._started = 0
        self._executors: dict[bool, Executor] = {}
        self._wake: WakeListener | None = None
        self._retry_at, self._backoff = 0.0, 1.0
        self.outcomes: Counter[Outcome] = Counter()
        self._counts: dict[str, Counter[Outcome]] = {name: Counter() for name in options.handlers}
        self._counts_due = monotonic() + _COUNTS_SECONDS
        self.last_seen = monotonic()
        self.outage: Exception | None = None
        self.is_stopping = False

    def run(self) -> Counter[Outcome]:
        """Run jobs in this thread until the worker stops; return how many ended in which way.

        Raises:
            ImproperlyConfiguredFederation: the alias cannot have queues.
        """
        options = self.options
        ends_at = None if options.max_seconds is None else monotonic() + options.max_seconds
        database = self._lanes[0].queue.database  # raises an error of the configuration
        heartbeat = Heartbeat(options.visibility, self._list_held, self._on_extended, self._on_lost)
        heartbeat.start()
        if options.wake and not options.once:
            self._wake = self._listen(database)
        try:
            while not self.is_stopping and (ends_at is None or monotonic() < ends_at):
                self.last_seen = monotonic()
                self._changed.clear()
                self._step()
                if self._is_finished():
                    break
                self._changed.wait(self._compute_wait(ends_at))
        finally:
            self.is_stopping = True
            if self._wake is not None:
                self._wake.stop()
            try:
                self._shut_down()
            finally:
                heartbeat.stop()
        return self.outcomes

    def stop(self) -> None:
        """Stop soon; may be called from a signal handler or another thread."""
        self.is_stopping = True
        self._changed.set()

    def read_status(self) -> dict[str, Any]:
        """Return the state for health checks, as JSON can represent it. Nothing is sent."""
        with self._lock:
            running = sum(held.started_at is not None for held in self._held.values())
            waiting = len(self._held) - running
        state = "stopping" if self.is_stopping else "outage" if self.outage else "running"
        return {
            "state": state,
            "reason": str(self.outage or ""),
            "queues": list(self.options.handlers),
            "seconds_since_loop": round(monotonic() - self.last_seen, 1),
            "running": running,
            "waiting": waiting,
            "has_messages": self._has_messages,
            **{f"jobs_{name}": count for name, count in sorted(self.outcomes.items())},
        }

    # ---- the main loop

    @property
    def _has_messages(self) -> bool:
        return self._wake is not None and self._wake.is_subscribed

    def _listen(self, database: FederationDatabase) -> WakeListener:
        def make_wake(lane: Lane) -> Any:
            def wake() -> None:
                lane.wake()
                self._changed.set()

            return wake

        wake = {lane.queue.plans.keys.wake: make_wake(lane) for lane in self._lanes}
        listener = WakeListener(database, wake)
        listener.start()
        return listener

    def _step(self) -> None:
        """End what is done and reserve what can run; after an error, pause."""
        if monotonic() < self._retry_at:
            return
        try:
            if self._is_flush_due():
                self._outbox.flush()
            self._reserve()
            if monotonic() >= self._counts_due:
                self._write_counts()
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 a defect must not end the worker, which pauses
            self._begin_outage(error)
        else:
            if self.outage is not None:
                log_event("info", "recovered", "The worker runs again: no error any more.")
            self.outage, self._backoff = None, 1.0

    def _begin_outage(self, error: Exception) -> None:
        if self.outage is None and isinstance(error, ContinuumError):
            log_event("warning", "outage", f"The database is unavailable, trying again: {error}")
        elif self.outage is None:
            text = f"Unexpected error of the worker, trying again: {describe_error(error)}"
            log_event("error", "defect", text, error=error)
        self.outage = error
        self._retry_at = monotonic() + self._backoff * random.uniform(0.5, 1.0)  # noqa: S311 no secret
        self._backoff = min(2 * self._backoff, _MAX_BACKOFF)

    def _write_counts(self) -> None:
        """Add what has ended since the last call to the counts that all workers share."""
        self._counts_due = monotonic() + _COUNTS_SECONDS
        for lane in self._lanes:
            with self._lock:
                counts = self._counts[lane.queue.name]
                self._counts[lane.queue.name] = Counter()
            key = lane.queue.plans.keys.jobs
            lane.queue.run(add_outcomes(key, counts, datetime.now(UTC)))

    def _is_flush_due(self) -> bool:
        """Return whether to acknowledge now, or to wait for more jobs to be done."""
        if not len(self._outbox):
            return False
        is_full = len(self._outbox) >= min(self.options.max_batch, len(self._held))
        return is_full or self._outbox.age > _MAX_ACK_SECONDS or self._count_wanted() > 0

    def _reserve(self) -> None:
        now = monotonic()
        for lane in self._lanes:
            wanted = self._count_wanted()
            if wanted <= 0:
                return
            if now < lane.next_look:
                continue
            wakes = lane.wakes
            if not lane.is_ready:
                due = lane.queue.next_due()
                if due != 0:
                    lane.sleep(due, has_messages=self._has_messages, wakes=wakes)
                    continue
            jobs = lane.queue.reserve(wanted, visibility=self.options.visibility)
            lane.is_paused = jobs.is_paused
            if jobs:
                lane.restart()
                self._submit(jobs, now)
            lane.sleep(jobs.next_due, has_messages=self._has_messages, wakes=wakes)

    def _count_wanted(self) -> int:
        """Return how many jobs to reserve: none while some have not been started."""
        options = self.options
        with self._lock:
            held = [each for each in self._held.values() if not each.has_run]
            if any(each.started_at is None for each in held):
                return 0
        target = options.concurrency
        if self._average:
            ahead = int(options.concurrency * _PREFETCH_SECONDS / self._average)
            target = max(target, min(ahead, options.max_batch))
        wanted = min(target - len(held), 100)
        if options.max_jobs is not None:
            wanted = min(wanted, options.max_jobs - self._started)
        return wanted

    def _submit(self, jobs: Iterable[Job], now: float) -> None:
        for job in jobs:
            self._started += 1
            with self._lock:
                self._held[id(job)] = _Held(job, now)
            is_async = _is_async(self.options.handlers[job.queue.name])
            if is_async not in self._executors:
                kind = LoopExecutor if is_async else ThreadExecutor
                self._executors[is_async] = kind(
                    self.options.handlers, self.options.concurrency, self._on_start, self._on_end
                )
            self._executors[is_async].submit(job)

    def _is_finished(self) -> bool:
        options = self.options
        if self._held or len(self._outbox) or self.outage is not None:
            return False
        if options.max_jobs is not None and self._started >= options.max_jobs:
            return True
        return options.once and not any(lane.is_ready for lane in self._lanes)

    def _compute_wait(self, ends_at: float | None) -> float:
        now = monotonic()
        waits = [_TICK_SECONDS]
        if len(self._outbox):
            waits.append(_MAX_ACK_SECONDS)
        if self._count_wanted() > 0:
            waits += [lane.next_look - now for lane in self._lanes]
        if ends_at is not None:
            waits.append(ends_at - now)
        return max(0.0, self._retry_at - now, min(waits)) if not self.is_stopping else 0.0

    # ---- called by the executors and the heartbeat, in their threads

    def _on_start(self, job: Job) -> bool:
        with self._lock:
            held = self._held.get(id(job))
            if held is None or self.is_stopping:
                return False
            held.started_at = monotonic()
            is_last = all(each.started_at is not None for each in self._held.values())
        if is_last:
            self._changed.set()
        return True

    def _on_end(self, job: Job, error: BaseException | None) -> None:
        now = monotonic()
        with self._lock:
            held = self._held.get(id(job))
            if held is None or held.started_at is None:
                return  # it was given back
            held.has_run = True
            seconds = now - held.started_at
        self._average = seconds if not self._average else 0.8 * self._average + 0.2 * seconds
        reason = None if error is None else describe_error(error)
        if error is not None:
            text = f"Job {job.id} of queue '{job.queue.name}' failed: {reason}"
            fields = {"queue": job.queue.name, "job": job.id, "attempts": job.attempts}
            log_event("error", "job_failed", text, error=error, **fields)
        self._outbox.add(Ended(job, reason, seconds))
        self._changed.set()

    def _list_held(self, age: float) -> list[Job]:
        before = monotonic() - age
        with self._lock:
            return [held.job for held in self._held.values() if held.leased_at <= before]

    def _on_extended(self, jobs: Iterable[Job]) -> None:
        now = monotonic()
        with self._lock:
            for job in jobs:
                if (held := self._held.get(id(job))) is not None:
                    held.leased_at = now

    def _on_lost(self, job: Job) -> None:
        with self._lock:
            held = self._held.get(id(job))
            if held is None or held.has_run:
                return
            if held.started_at is None:
                del self._held[id(job)]
        text = f"Job {job.id} of queue '{job.queue.name}': another worker has it: its lease ended."
        log_event("warning", "lease_lost", text, queue=job.queue.name, job=job.id)

    def _report(self, ended: Ended, outcome: Outcome) -> None:
        """Count a job that has ended, and forget it."""
        job = ended.job
        with self._lock:
            self._held.pop(id(job), None)
            self.outcomes[outcome] += 1
            self._counts[job.queue.name][outcome] += 1
        notify(JobEnded(self.options.using, job.queue.name, outcome, ended.seconds, job.attempts))

    # ---- the end

    def _shut_down(self) -> None:
        """Give back what has not started, wait for what runs, and give back the rest."""
        for executor in self._executors.values():
            executor.stop()
        self._release(self._list_running(started=False))
        grace_ends = monotonic() + self.options.grace
        while self._list_running(started=True) and monotonic() < grace_ends:
            self._changed.clear()
            self._flush_quietly()
            if self._list_running(started=True):
                self._changed.wait(min(0.5, max(0.0, grace_ends - monotonic())))
        last = monotonic() + _LAST_FLUSH_SECONDS
        while not self._flush_quietly() and monotonic() < last:
            threading.Event().wait(0.2)
        unfinished = self._list_running(started=True)
        if unfinished:
            text = f"{len(unfinished)} jobs did not end within {self.options.grace:g} s: given back"
            log_event("warning", "grace_over", text, jobs=[held.job.id for held in unfinished])
        self._release(unfinished)
        for executor in self._executors.values() if not unfinished else ():
            executor.join(_JOIN_SECONDS)
        with suppress(ContinuumError):  # only statistics
            self._write_counts()

    def _list_running(self, *, started: bool) -> list[_Held]:
        with self._lock:
            return [
                held
                for held in self._held.values()
                if not held.has_run and (held.started_at is not None) is started
            ]

    def _flush_quietly(self) -> bool:
        try:
            self._outbox.flush()
        except ContinuumError as error:
            log_event("warning", "outage", f"Jobs that are done were not acknowledged: {error}")
            return False
        except Exception as error:  # noqa: BLE001 a defect must not keep the other jobs leased
            text = f"Jobs that are done were not acknowledged: {describe_error(error)}"
            log_event("error", "defect", text, error=error)
            return False
        return True

    def _release(self, unfinished: list[_Held]) -> None:
        for jobs in _group_by_queue(held.job for held in unfinished):
            try:
                jobs[0].queue.release_many(jobs)
            except ContinuumError as error:
                log_event("warning", "outage", f"Jobs are given back when leases end: {error}")
            for job in jobs:
                self._report(Ended(job, None, 0.0), "released")


def _is_async(handler: Any) -> bool:
    return iscoroutinefunction(handler) or iscoroutinefunction(type(handler).__call__)


def _group_by_queue(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.queue.name, []).append(job)
    yield from groups.values()
