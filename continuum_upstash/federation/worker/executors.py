"""Run handlers: functions in threads, coroutine functions in one event loop of a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from time import monotonic
from typing import Protocol

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections

from continuum_upstash.federation.queue.job import Job
from continuum_upstash.federation.worker.handlers import Handler
from continuum_upstash.federation.worker.log import log_event
from continuum_upstash.transports.registry import list_databases
from continuum_upstash.transports.rest.sync_token import SyncTokens, override

Handlers = Mapping[str, Handler]  # by queue
# Called in the executor's thread when a handler has returned, or with its error.
OnEnd = Callable[[Job, BaseException | None], None]
# Called in the executor's thread; False: the job was given back meanwhile, and is not to be run.
OnStart = Callable[[Job], bool]


class Executor(Protocol):
    def submit(self, job: Job) -> None:
        """Run a job as soon as one of the threads or tasks is free."""

    def stop(self) -> None:
        """Start no more jobs. Does not wait for those that run."""

    def join(self, timeout: float) -> None:
        """After `stop`, wait until the threads have closed their connections and ended."""


class ThreadExecutor:
    """Runs functions in `concurrency` threads."""

    def __init__(
        self, handlers: Handlers, concurrency: int, on_start: OnStart, on_end: OnEnd
    ) -> None:
        self._handlers, self._on_start, self._on_end = handlers, on_start, on_end
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"federation-job-{number}", daemon=True)
            for number in range(concurrency)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, timeout: float) -> None:
        ends_at = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, ends_at - monotonic()))

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                if self._on_start(job):
                    self._on_end(job, self._run(job))
        finally:
            connections.close_all()

    def _run(self, job: Job) -> BaseException | None:
        try:
            _close_old_connections()
            with override(SyncTokens()):
                job.apply_sync_tokens()
                self._handlers[job.queue.name](job)
        except BaseException as error:  # noqa: BLE001 also SystemExit: it ends the job, not the worker
            return error
        finally:
            _close_old_connections()
        return None


class LoopExecutor:
    """Runs coroutine functions, at most `concurrency` at once, in a loop of its own."""

    def __init__(
        self, handlers: Handlers, concurrency: int, on_start: OnStart, on_end: OnEnd
    ) -> None:
        self._handlers, self._on_start, self._on_end = handlers, on_start, on_end
        self._concurrency = concurrency
        self._loop = asyncio.new_event_loop()
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._main, name="federation-loop", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, job)

    def stop(self) -> None:
        for _ in range(self._concurrency):
            self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _main(self) -> None:
        # The runner also ends what closing the connections has left to the loop.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._work_all())

    async def _work_all(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(self._concurrency)))
        for database in list_databases():
            await database.aclose()

    async def _work(self) -> None:
        while (job := await self._jobs.get()) is not None:
            if self._on_start(job):
                error = await asyncio.create_task(self._run(job))  # with a context of its own
                self._on_end(job, error)

    async def _run(self, job: Job) -> BaseException | None:
        close = sync_to_async(_close_old_connections)
        try:
            await close()
            try:
                with override(SyncTokens()):
                    job.apply_sync_tokens()
                    await self._handlers[job.queue.name](job)
            finally:
                await close()
        except BaseException as error:  # noqa: BLE001 as above; a cancellation is of the handler's own
            return error
        return None


def _close_old_connections() -> None:
    """Close Django's connections that are too old; an error ends neither the job nor the worker."""
    try:
        close_old_connections()
    except Exception as error:  # noqa: BLE001 whatever a database driver raises
        text = f"A connection of Django's databases could not be closed: {error!r}"
        log_event("warning", "connection_not_closed", text, error=error)
