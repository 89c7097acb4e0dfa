"""The backend of Django's Tasks framework."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from continuum_upstash.federation.errors import PayloadRejected
from continuum_upstash.federation.queue.job import Job
from continuum_upstash.federation.queue.plans import JobOptions
from continuum_upstash.federation.queue.queue import Queue
from continuum_upstash.federation.tasks.documents import TaskDocument
from continuum_upstash.federation.tasks.framework import (
    BaseTask,
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
)
from continuum_upstash.federation.tasks.options import TaskOptions
from continuum_upstash.federation.tasks.runs import (
    AsyncCaller,
    RunOutcome,
    RunState,
    SyncCaller,
    TaskRun,
)
from continuum_upstash.federation.tasks.store import StoredTask, TaskStore

P = ParamSpec("P")
R = TypeVar("R")

_is_name: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch
_EXTRA_DELIVERIES: Final = 10  # the backend ends a task before the queue would end its job
# If the task is lost to a worker that has lost the lease of the job, only this job can repeat it.
_NOT_DONE: Final = frozenset({RunState.RETRY, RunState.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstashTask(BaseTask):
    """A task with a policy of its own: ``@task(max_attempts=5, backoff=30)``.

    Django 6.0 does not accept these arguments; OPTIONS apply there.

    Attributes:
        max_attempts: how often it runs if it raises exceptions; None: MAX_ATTEMPTS.
        backoff: seconds before the second attempt, which doubles, or a function
            ``backoff(exception, task_result)`` that returns seconds; None: BACKOFF.
    """

    max_attempts: int | None = None
    backoff: Any = None


class UpstashTasks(BaseTaskBackend):
    """Runs tasks by `manage.py federation_worker`, or, with the option PUSH, by QStash.

    Args:
        alias: the entry of TASKS.
        params: its contents: docs/how-to/tasks.md describes OPTIONS.

    Raises:
        ImproperlyConfiguredFederation: an option is unknown or invalid.
    """

    task_class = UpstashTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, dict(params))
        self.task_options = TaskOptions.parse(alias, self.options)

    @property
    def supports_priority(self) -> bool:  # type: ignore[override]
        """QStash has no priorities."""
        return self.task_options.push is None

    @property
    def store(self) -> TaskStore:
        """Where the tasks and their results are.

        Raises:
            ImproperlyConfiguredFederation: USING names no suitable cache.
        """
        return TaskStore(self.alias, self.task_options)

    def get_queue(self, queue_name: str) -> Queue:
        """Return the queue of a queue name."""
        return Queue(_make_queue_name(self.alias, queue_name), using=self.task_options.using)

    def validate_task(self, task: Task[..., Any]) -> None:
        """
        Raises:
            InvalidTask: this backend cannot run the task.
        """
        super().validate_task(task)
        if not _is_name(_make_queue_name(self.alias, task.queue_name)):
            raise InvalidTask(
                f"Queue '{task.queue_name}' is not valid for backend: the queue name and the "
                f"alias '{self.alias}' must together have at most 57 characters, only letters, "
                "digits, '_', '.' and '-'."
            )

    def enqueue(self, task: Task[P, R], args: Any, kwargs: Any) -> TaskResult[P, R]:
        """Store a task, and enqueue it or publish it to QStash.

        With ENQUEUE_ON_COMMIT, this happens when the transaction commits; the result does not
        exist before that.

        Billed: 1 command, and those of `Queue.enqueue`; with PUSH 1 command and 1 message.

        Raises:
            InvalidTask: this backend cannot run the task.
            PayloadRejected: the arguments are too large or too deeply nested.
            TypeError, ValueError: JSON cannot represent the arguments.
            Unavailable, ReplyError: the database did not store the task.
        """
        self.validate_task(task)
        result = self._make_result(task, args, kwargs)
        document = TaskDocument.from_result(result)
        self.store.encode(document)  # raises an error before the transaction commits
        send = partial(self._send, document, result)
        if self.task_options.enqueue_on_commit:
            transaction.on_commit(send, using=self.task_options.database)
        else:
            send()
        return result

    async def aenqueue(self, task: Task[P, R], args: Any, kwargs: Any) -> TaskResult[P, R]:
        """Store a task, and enqueue it or publish it to QStash. See `enqueue`."""
        if self.task_options.enqueue_on_commit or self.task_options.push is not None:
            return await sync_to_async(self.enqueue)(task, args, kwargs)
        self.validate_task(task)
        result = self._make_result(task, args, kwargs)
        document = TaskDocument.from_result(result)
        await self.store.database.arun(self._enqueue(document, self._count_deliveries(task)))
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult[..., Any]:
        """Return the result of a task, in any process. Billed: 1 command.

        Raises:
            TaskResultDoesNotExist: there is none, or it has expired.
            ImportError, SuspiciousOperation: the function of the task does not exist any more.
        """
        store = self.store
        return _load_result(result_id, store.database.run(store.read(result_id)))

    async def aget_result(self, result_id: str) -> TaskResult[..., Any]:
        """Return the result of a task. See `get_result`."""
        store = self.store
        return _load_result(result_id, await store.database.arun(store.read(result_id)))

    # ---- workers

    def run_job(self, job: Job, worker_id: str) -> RunState:
        """Run the task of a job from one of this backend's queues; return what came of it.

        With RETRY and LOST the job is ended, see `Job.outcome`; with others the caller has to
        acknowledge it.

        Billed: 3 commands, and 1 for RETRY and LOST. Where the server has no SET IFEQ: 7.
        """
        run = self._make_run(SyncCaller(), worker_id)
        outcome = self.store.database.run(run.run(_read_task_id(job)))
        if outcome.state in _NOT_DONE:
            job.retry(outcome.delay)
        return outcome.state

    async def arun_job(self, job: Job, worker_id: str) -> RunState:
        """Run the task of a job in the running event loop. See `run_job`."""
        run, database = self._make_run(AsyncCaller(), worker_id), self.store.database
        try:
            outcome = await database.arun(run.run(_read_task_id(job)))
        except asyncio.CancelledError:
            await asyncio.shield(database.arun(run.give_back()))
            raise
        if outcome.state in _NOT_DONE:
            await job.aretry(outcome.delay)
        return outcome.state

    def run_pushed(self, task_id: object, worker_id: str) -> RunOutcome:
        """Run a task that QStash has delivered. Billed: 3 commands."""
        run = self._make_run(SyncCaller(), worker_id, is_leased=False)
        return self.store.database.run(run.run(task_id))

    def fail_undelivered(self, task_id: object) -> RunOutcome:
        """End a task that QStash has stopped to deliver. Billed: 2 commands."""
        run = self._make_run(SyncCaller(), "", is_leased=False)
        return self.store.database.run(run.fail_undelivered(task_id))

    def drain(self, queue_names: Iterable[str], deadline: float) -> Iterator[RunState]:
        """Run the tasks of queues that are ready, and yield what came of each.

        Args:
            queue_names: those that come first are emptied first.
            deadline: in monotonic seconds; no task is started after it.

        Billed: 7 commands for each task, and 2 for each queue that is empty.
        """
        worker_id = get_random_string(32)
        for queue in map(self.get_queue, queue_names):
            while time.monotonic() < deadline:
                jobs = queue.reserve(1, visibility=self.task_options.timeout)
                if not jobs:
                    break
                state = self.run_job(jobs[0], worker_id)
                if state not in _NOT_DONE:
                    jobs[0].ack()
                yield state

    def _make_run(
        self, caller: SyncCaller | AsyncCaller, worker_id: str, *, is_leased: bool = True
    ) -> TaskRun:
        return TaskRun(self.store, self.task_options, caller, worker_id, is_leased=is_leased)

    def _send(self, document: TaskDocument, result: TaskResult[..., Any]) -> None:
        store, push = self.store, self.task_options.push
        deliveries = self._count_deliveries(result.task)
        if push is None:
            store.database.run(self._enqueue(document, deliveries))
        else:
            from continuum_upstash.federation.tasks.push import publish  # noqa: PLC0415 by option

            publish(store, push, document, deliveries=deliveries, timeout=self.task_options.timeout)
        task_enqueued.send(type(self), task_result=result)

    def _count_deliveries(self, task: Task[..., Any]) -> int:
        """Return how often a task is delivered at most: after exceptions, and after crashes."""
        return self.task_options.get_max_attempts(task) + self.task_options.max_crashes

    def _enqueue(self, document: TaskDocument, deliveries: int) -> Any:
        wait = document.run_after_time - time.time()
        job = JobOptions(
            priority=document.priority,
            delay=wait if wait > 0 else None,
            max_attempts=deliveries + _EXTRA_DELIVERIES,
            lifetime=None,
        )
        return self.store.enqueue(document, self.get_queue(document.queue_name), job)

    def _make_result(self, task: Task[P, R], args: Any, kwargs: Any) -> TaskResult[P, R]:
        try:
            return TaskResult(
                task=task,
                id=get_random_string(32),
                status=TaskResultStatus.READY,
                enqueued_at=timezone.now(),
                started_at=None,
                last_attempted_at=None,
                finished_at=None,
                args=args,
                kwargs=kwargs,
                backend=self.alias,
                errors=[],
                worker_ids=[],
            )
        except RecursionError as error:
            raise PayloadRejected(
                "The arguments of a task are nested too deeply, or cyclic."
            ) from error


def _load_result(result_id: object, stored: StoredTask | None) -> TaskResult[..., Any]:
    if stored is None:
        raise TaskResultDoesNotExist(result_id)
    return stored.document.make_result(stored.document.load_task())


def _make_queue_name(alias: str, queue_name: str) -> str:
    return f"tasks.{alias}.{queue_name}"


def _read_task_id(job: Job) -> object:
    return job.payload.get("task") if isinstance(job.payload, dict) else None
