"""One delivery of a task: start it, call its function, and store what came of it."""

from __future__ import annotations

import asyncio
import enum
import random
import time
from typing import Any, Final, NamedTuple, Protocol

from asgiref.sync import sync_to_async

from continuum_upstash.errors import Unavailable
from continuum_upstash.federation.tasks.documents import DeliveryFailed, TaskCrashed, TaskDocument
from continuum_upstash.federation.tasks.framework import (
    Task,
    TaskContext,
    TaskResult,
    TaskResultStatus,
    task_finished,
    task_started,
)
from continuum_upstash.federation.tasks.options import TaskOptions
from continuum_upstash.federation.tasks.store import StoredTask, TaskStore
from continuum_upstash.observe import logger
from continuum_upstash.plans.effects import Compute, Plan, Sleep

_MAX_BACKOFF: Final = 3600.0  # seconds
_END_DELAYS: Final = (0.5, 1.0, 2.0, 4.0)  # seconds between attempts to store a result
_EARLY: Final = 0.5  # seconds that a delivery may come before its time


class RunState(enum.Enum):
    """What came of a delivery."""

    FINISHED = "finished"  # now or before: the job is done
    RETRY = "retry"  # deliver it again after the delay
    MISSING = "missing"  # there is no such task
    LOST = "lost"  # another worker has taken the task over: this result is not stored


class RunOutcome(NamedTuple):
    """
    Attributes:
        state: see `RunState`.
        delay: seconds until the next attempt, if the state is RETRY or LOST: then TIMEOUT, since
            the other worker may still run the task, and may crash.
    """

    state: RunState
    delay: float = 0.0


class Call(NamedTuple):
    """What a function returned, or the exception that it raised."""

    value: Any = None
    error: BaseException | None = None


class Caller(Protocol):
    """Calls a task's function, and the receivers of the signals."""

    def call(self, result: TaskResult[..., Any]) -> Any:
        """Send task_started and call the function; return a `Call`, or a coroutine of one."""

    def finish(self, result: TaskResult[..., Any], error: BaseException | None) -> Any:
        """Send task_finished. An exception of a receiver is logged by Django."""


class SyncCaller:
    """Calls in this thread."""

    def call(self, result: TaskResult[..., Any]) -> Call:
        try:
            task_started.send(_get_sender(result), task_result=result)
            return Call(result.task.call(*_make_arguments(result), **result.kwargs))
        except BaseException as error:  # noqa: BLE001 a task fails with any exception, as Django's
            return Call(error=error)

    def finish(self, result: TaskResult[..., Any], error: BaseException | None) -> None:
        try:
            _raise(error)  # Django's receiver reads sys.exc_info()
        except BaseException:  # noqa: BLE001 see `call`
            task_finished.send_robust(_get_sender(result), task_result=result)
        else:
            task_finished.send_robust(_get_sender(result), task_result=result)


class AsyncCaller:
    """Calls in the running event loop; the function of a sync task runs in a thread."""

    async def call(self, result: TaskResult[..., Any]) -> Call:
        try:
            await task_started.asend(_get_sender(result), task_result=result)
            return Call(await result.task.acall(*_make_arguments(result), **result.kwargs))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 see SyncCaller
            return Call(error=error)

    async def finish(self, result: TaskResult[..., Any], error: BaseException | None) -> None:
        # In a thread: before Django 6.1, `asend` loses sys.exc_info() on the way to receivers.
        await sync_to_async(SyncCaller().finish)(result, error)


class TaskRun:
    """One delivery of a task.

    Args:
        store: where the tasks are.
        options: of the entry of TASKS.
        caller: sync or async, as the runner of the plans.
        worker_id: of this worker.
        is_leased: whether only one worker at a time gets the task, as from a queue. Otherwise a
            task that is RUNNING belongs to another worker until TIMEOUT is over.
    """

    def __init__(
        self,
        store: TaskStore,
        options: TaskOptions,
        caller: Caller,
        worker_id: str,
        *,
        is_leased: bool,
    ) -> None:
        self._store, self._options = store, options
        self._caller, self._worker_id, self._is_leased = caller, worker_id, is_leased
        self._before: TaskDocument | None = None
        self._started: StoredTask | None = None

    def run(self, task_id: object) -> Plan[RunOutcome]:
        """Run the task once, unless it has finished or must not run yet.

        Billed: 3 commands.
        """
        stored = yield from self._store.read(task_id)
        if stored is None:
            return RunOutcome(RunState.MISSING)
        if stored.document.is_finished:
            return RunOutcome(RunState.FINISHED)
        wait = self._compute_wait(stored.document)
        if wait > 0:
            return RunOutcome(RunState.RETRY, wait)
        return (yield from self._start(stored))

    def _start(self, stored: StoredTask) -> Plan[RunOutcome]:
        document = stored.document
        if document.status == TaskResultStatus.RUNNING.value:
            document = document.count_crash()
        try:
            task = document.load_task()
        except Exception as error:  # noqa: BLE001 importing runs the code of the site
            return (yield from self._fail_unrunnable(stored, document, error))
        if document.crashes > self._options.max_crashes:
            crash = TaskCrashed(
                f"the worker was killed while it ran the task, {document.crashes} times"
            )
            return (yield from self._finish(stored, task, document.fail(crash), crash))
        started = yield from self._store.replace(stored, document.start(self._worker_id))
        if started is None:
            return RunOutcome(RunState.LOST, self._options.timeout)
        self._before, self._started = document, started
        result = started.document.make_result(task)
        called: Call = yield Compute(lambda: self._caller.call(result))
        return (yield from self._end(started, task, called))

    def fail_undelivered(self, task_id: object) -> Plan[RunOutcome]:
        """End a task that will not be delivered again. Billed: 2 commands."""
        stored = yield from self._store.read(task_id)
        if stored is None:
            return RunOutcome(RunState.MISSING)
        document = stored.document
        if document.is_finished:
            return RunOutcome(RunState.FINISHED)
        if document.status == TaskResultStatus.RUNNING.value:
            wait = self._compute_wait(document)
            if wait > 0:
                return RunOutcome(RunState.RETRY, wait)
        error = DeliveryFailed("QStash has delivered the task as often as it may, without success")
        try:
            task = document.load_task()
        except Exception as problem:  # noqa: BLE001 importing runs the code of the site
            return (yield from self._fail_unrunnable(stored, document, problem))
        return (yield from self._finish(stored, task, document.fail(error), error))

    def give_back(self) -> Plan[None]:
        """Undo the start of a run that was cancelled, so that it does not count as a crash.

        Billed: 1 command, if the run had started.
        """
        if self._started is not None and self._before is not None:
            yield from self._store.replace(self._started, self._before)

    def _end(self, started: StoredTask, task: Task[..., Any], called: Call) -> Plan[RunOutcome]:
        document, error = started.document, called.error
        if error is None:
            try:
                new = document.succeed(called.value)
                self._store.encode(new)
            except Exception as failure:  # noqa: BLE001 of the value's own code, or RecursionError
                error = failure
            else:
                return (yield from self._finish(started, task, new, None))
        attempts = len(document.worker_ids) - document.crashes
        if attempts >= self._options.get_max_attempts(task):
            return (yield from self._finish(started, task, document.fail(error), error))
        delay = self._compute_backoff(task, document, attempts, error)
        new = document.wait_for_retry(error, time.time() + delay)
        if not (yield from self._store_end(started, new)):
            return self._lose(document)
        logger.warning(
            "Task id=%s path=%s failed in attempt %d, next attempt in %.1f s: %r",
            *(document.id, document.path, attempts, delay, error),
        )
        return RunOutcome(RunState.RETRY, delay)

    def _finish(
        self, old: StoredTask, task: Task[..., Any], new: TaskDocument, error: BaseException | None
    ) -> Plan[RunOutcome]:
        if not (yield from self._store_end(old, new)):
            return self._lose(new)
        self._started = None
        yield Compute(lambda: self._caller.finish(new.make_result(task), error))
        return RunOutcome(RunState.FINISHED)

    def _store_end(self, old: StoredTask, new: TaskDocument) -> Plan[bool]:
        """Store what came of a run, also after a short outage; return whether it is stored."""
        for seconds in _END_DELAYS:
            try:
                return (yield from self._store.replace(old, new)) is not None
            except Unavailable as error:
                logger.warning("Task id=%s: its result is stored later: %s", new.id, error)
            yield Sleep(seconds)
            # The reply may have been lost after the database had stored the result.
            try:
                stored = yield from self._store.read(new.id)
            except Unavailable:
                continue
            if stored is not None and stored.data == self._store.encode(new):
                return True
        return (yield from self._store.replace(old, new)) is not None

    def _fail_unrunnable(
        self, stored: StoredTask, document: TaskDocument, error: Exception
    ) -> Plan[RunOutcome]:
        """End a task whose function does not exist; without it, no signal can be sent."""
        if (yield from self._store.replace(stored, document.fail(error))) is None:
            return self._lose(document)
        logger.error("Task id=%s path=%s failed: %r", document.id, document.path, error)
        return RunOutcome(RunState.FINISHED)

    def _lose(self, document: TaskDocument) -> RunOutcome:
        logger.warning(
            "Task id=%s path=%s was taken over by another worker; the result of worker %s is not "
            "stored.",
            *(document.id, document.path, self._worker_id),
        )
        return RunOutcome(RunState.LOST, self._options.timeout)

    def _compute_wait(self, document: TaskDocument) -> float:
        """Return the seconds before which the task must not start."""
        due = max(document.not_before, document.run_after_time)
        if document.status == TaskResultStatus.RUNNING.value and not self._is_leased:
            due = document.last_attempt_time + self._options.timeout
        return max(0.0, due - time.time() - _EARLY)

    def _compute_backoff(
        self, task: Task[..., Any], document: TaskDocument, attempts: int, error: BaseException
    ) -> float:
        backoff = getattr(task, "backoff", None)
        if callable(backoff):
            chosen: float = backoff(error, document.make_result(task))
            return max(0.0, float(chosen))
        base: float = self._options.backoff if backoff is None else float(backoff)
        longest = min(_MAX_BACKOFF, base * 2.0 ** min(attempts - 1, 30))
        spread: float = random.uniform(0.5, 1.0)  # noqa: S311 spreads the attempts, no secret
        return longest * spread


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def _get_sender(result: TaskResult[..., Any]) -> type:
    return type(result.task.get_backend())


def _make_arguments(result: TaskResult[..., Any]) -> list[Any]:
    if result.task.takes_context:
        return [TaskContext(task_result=result), *result.args]
    return list(result.args)
