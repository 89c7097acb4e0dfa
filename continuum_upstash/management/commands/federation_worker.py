"""``manage.py federation_worker``: run the jobs of queues."""

from __future__ import annotations

import logging
import os
import signal
import threading
from argparse import ArgumentParser
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation.worker.handlers import Handler, find_handlers, read_alias
from continuum_upstash.federation.worker.log import JSONFormatter, log_event
from continuum_upstash.federation.worker.options import WorkerOptions
from continuum_upstash.federation.worker.worker import Worker
from continuum_upstash.management.arguments import (
    UNREACHABLE,
    fail,
    parse_positive_int,
    parse_seconds,
)
from continuum_upstash.management.progress import PlainStream, Progress
from continuum_upstash.management.worker_endpoint import WorkerEndpoint, write_health_file
from continuum_upstash.observe import logger

_REDRAW_SECONDS: Final = 0.5
_HEALTH_FILE_SECONDS: Final = 5.0
_SUMMARY_SECONDS: Final = 60.0
_MAX_CONCURRENCY: Final = 1000


class Command(BaseCommand):
    help = (
        "Run the jobs of queues until SIGTERM or Ctrl-C: then no more jobs are started, running "
        "ones may end within --grace, and the rest is given back; a second signal ends the process "
        "at once. Exit status 0: success; 2: the configuration is invalid."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "queues", nargs="*", metavar="QUEUE", help="jobs of an earlier queue are run first"
        )
        parser.add_argument(
            "--tasks",
            metavar="ALIAS",
            help="run the tasks of an entry of TASKS; QUEUE is then one of its QUEUES (default: "
            "all), and --using and --handler are not used",
        )
        parser.add_argument(
            "--using",
            metavar="ALIAS",
            help="the entry of CACHES that stores the queues (default: "
            '"ALIAS" in CONTINUUM_FEDERATION, or federation)',
        )
        parser.add_argument(
            "--handler",
            metavar="PATH",
            help="dotted path of a function or coroutine function that takes a job (default: by "
            'CONTINUUM_FEDERATION["HANDLERS"])',
        )
        parser.add_argument(
            "--concurrency",
            type=parse_positive_int,
            default=1,
            metavar="N",
            help="jobs that run at a time: threads, or tasks of one event loop (default 1)",
        )
        parser.add_argument(
            "--visibility",
            type=parse_seconds,
            default=30,
            metavar="TIME",
            help="length of a lease; it is extended while the job runs (default 30s)",
        )
        parser.add_argument(
            "--max-batch",
            type=parse_positive_int,
            default=50,
            metavar="N",
            help="jobs to reserve at a time where they are short (default 50, at most 100)",
        )
        parser.add_argument("--grace", type=parse_seconds, default=20, metavar="TIME")
        parser.add_argument("--once", action="store_true", help="stop when no job is ready")
        parser.add_argument("--max-seconds", type=parse_seconds, metavar="TIME")
        parser.add_argument("--max-jobs", type=parse_positive_int, metavar="N")
        parser.add_argument(
            "--no-wake", action="store_true", help="poll, without a subscription to enqueues"
        )
        parser.add_argument("--health-file", type=Path, metavar="PATH")
        parser.add_argument(
            "--health-address", metavar="HOST:PORT", help="serve /live/, /ready/ and /metrics/"
        )
        parser.add_argument(
            "--log-format",
            choices=("text", "json"),
            help="of the lines on stderr (default: text on a terminal, else json)",
        )

    def handle(self, **options: Any) -> None:
        is_terminal = self.stderr.isatty()
        form = options["log_format"] or ("text" if is_terminal else "json")
        with ExitStack() as stack:
            stack.callback(_add_log_handler(self.stderr, form))
            worker = Worker(_make_options(options))
            if options["health_address"]:
                try:
                    endpoint = WorkerEndpoint(options["health_address"], worker.read_status)
                except (OSError, ValueError, OverflowError) as error:
                    fail(f"--health-address {options['health_address']}: {error}")
                stack.callback(endpoint.close)
            progress = Progress(self.stderr, options["max_jobs"], quiet=not is_terminal)
            interval = _REDRAW_SECONDS if is_terminal else _HEALTH_FILE_SECONDS
            _Run(worker, progress, interval, options["health_file"]).run()


class _Run:
    """Runs a worker in a thread, while the main thread waits for signals and shows the state."""

    def __init__(
        self, worker: Worker, progress: Progress, interval: float, health_file: Path | None
    ) -> None:
        self._worker, self._progress, self._health_file = worker, progress, health_file
        self._interval = interval
        # Its `put` may interrupt its `get`, as a signal handler does.
        self._events: SimpleQueue[str] = SimpleQueue()
        self._error: BaseException | None = None
        self._began = monotonic()
        self._summary_at, self._summary = self._began, Counter[Any]()

    def run(self) -> None:
        """
        Raises:
            CommandError: the configuration is invalid.
        """
        numbers = (signal.SIGTERM, signal.SIGINT)
        previous = {number: signal.signal(number, self._on_signal) for number in numbers}
        options = self._worker.options
        text = f"Running jobs of {', '.join(options.handlers)}, {options.concurrency} at a time."
        log_event("info", "started", text, queues=list(options.handlers), pid=os.getpid())
        threading.Thread(target=self._work, name="federation-worker").start()
        try:
            self._wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._progress.end()
        if isinstance(self._error, (ContinuumError, ImproperlyConfigured)):
            fail(str(self._error), UNREACHABLE)
        if self._error is not None:
            raise self._error
        log_event(
            "info", "stopped", f"Stopped: {self._describe()}.", jobs=dict(self._worker.outcomes)
        )

    def _work(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:  # noqa: BLE001 the main thread raises it
            self._error = error
        finally:
            self._events.put("ended")

    def _on_signal(self, number: int, _: object) -> None:
        self._events.put("signal")
        if self._worker.is_stopping:
            os.write(2, b"Second signal: the process ends at once.\n")
            os._exit(128 + number)
        self._worker.is_stopping = True

    def _wait(self) -> None:
        while True:
            self._show()
            try:
                event = self._events.get(timeout=self._interval)
            except Empty:
                continue
            if event == "ended":
                return
            log_event("info", "stopping", "Stopping: running jobs may end.")
            self._worker.stop()

    def _show(self) -> None:
        done = sum(self._worker.outcomes.values())
        self._progress.show(done, self._describe())
        if self._health_file is not None:
            write_health_file(self._health_file, self._worker.read_status())
        now, outcomes = monotonic(), self._worker.outcomes
        if now - self._summary_at >= _SUMMARY_SECONDS and outcomes != self._summary:
            log_event("info", "progress", f"{self._describe()}.", jobs=dict(outcomes))
            self._summary_at, self._summary = now, Counter(outcomes)

    def _describe(self) -> str:
        outcomes = self._worker.outcomes
        total, seconds = sum(outcomes.values()), max(monotonic() - self._began, 0.001)
        parts = ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))
        return f"{total:,} jobs ({parts or 'none'}), {total / seconds:,.1f}/s"


def _make_options(options: dict[str, Any]) -> WorkerOptions:
    if options["concurrency"] > _MAX_CONCURRENCY:
        fail(f"--concurrency must be at most {_MAX_CONCURRENCY}.")
    if options["max_batch"] > 100 or not options["visibility"]:
        fail("--max-batch must be at most 100, and --visibility above 0.")
    try:
        handlers, using = _find_handlers(options)
    except ImproperlyConfigured as error:
        fail(str(error))
    return WorkerOptions(
        handlers=handlers,
        using=using,
        concurrency=options["concurrency"],
        visibility=options["visibility"],
        max_batch=options["max_batch"],
        grace=options["grace"],
        wake=not options["no_wake"],
        once=options["once"],
        max_seconds=options["max_seconds"],
        max_jobs=options["max_jobs"],
    )


def _find_handlers(options: dict[str, Any]) -> tuple[dict[str, Handler], str]:
    """Return the handlers by queue, and the alias of the queues."""
    queues = list(dict.fromkeys(options["queues"]))
    if options["tasks"]:
        from continuum_upstash.federation.tasks.worker import (  # noqa: PLC0415 needs the framework
            find_task_handlers,
        )

        return find_task_handlers(options["tasks"], queues)
    if not queues:
        fail("Name the queues to run, or an entry of TASKS with --tasks.")
    return find_handlers(queues, options["handler"]), options["using"] or read_alias()


def _add_log_handler(stream: Any, form: str) -> Any:
    """Write this package's log lines to the command's stderr; return what undoes it."""
    handler = logging.StreamHandler(PlainStream(stream))
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JSONFormatter() if form == "json" else text)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    logger.propagate = False

    def undo() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate

    return undo
