"""Runs the clients of a table in shuffled rounds.

CPU time (user and system) is the most reliable figure: on a loaded machine, elapsed time is mostly
the time of the others.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Self

from benchmarks.report.progress import Progress
from benchmarks.report.summary import Report
from benchmarks.servers import Servers, make_pinned_command
from benchmarks.tables import CPU_UNIT, Table
from benchmarks.worker import count_calls

METRICS: dict[str, Callable[[dict[str, float]], float]] = {
    "cpu": lambda times: times["cpu"] * 1e6,
    "ms": lambda times: times["wall"] * 1e3,
    "rate": lambda times: 1 / times["wall"],
}
RESPONSE_SECONDS = 60.0
LONGEST_SECONDS = 5.0  # of one measurement; a case that takes longer is not measured


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a table is measured.

    Attributes:
        rounds: the number of rounds, unless the time limit comes first.
        seconds: the length of one measurement.
        limit: seconds after which no further round begins.
    """

    rounds: int
    seconds: float
    limit: float

    def iterate_rounds(self, started: float) -> Iterator[int]:
        """Yield the numbers of the rounds, at least of one.

        Args:
            started: the monotonic time at which the limit begins.
        """
        for number in range(1, self.rounds + 1):
            if number > 1 and time.monotonic() > started + self.limit:
                return
            yield number


class WorkerFailedError(Exception):
    """The client of a worker cannot be measured."""


class WorkerProcess:
    """A process of benchmarks.worker, which runs one client."""

    def __init__(self, label: str, path: str, table: Table, servers: Servers) -> None:
        self.label = label
        worker = [sys.executable, "-m", "benchmarks.worker", path, table.target]
        self.process = subprocess.Popen(
            make_pinned_command(0, *worker, json.dumps(asdict(servers)), json.dumps(table.cases)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def wait_until_ready(self) -> None:
        """
        Raises:
            WorkerFailedError: a library is not installed, or the client failed.
        """
        reason = self._read()
        if reason is not None:
            raise WorkerFailedError(reason)

    def run(self, case: str, times: int) -> dict[str, float]:
        """
        Raises:
            WorkerFailedError: a call failed, or the process ended.
        """
        self.process.stdin.write(json.dumps({"case": case, "times": times}) + "\n")
        self.process.stdin.flush()
        result = self._read()
        if "error" in result:
            raise WorkerFailedError(result["error"])
        return result

    def _read(self):
        timer = threading.Timer(RESPONSE_SECONDS, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            raise WorkerFailedError(
                f"ended, or took more than {RESPONSE_SECONDS:.0f} s; its error is printed above"
            )
        return json.loads(line)


def measure(
    name: str, table: Table, servers: Servers, effort: Effort, progress: Progress
) -> Report:
    """Return the figures of every round, by column and client.

    Raises:
        SystemExit: the baseline or a client of this package failed.
    """
    started = time.monotonic()
    columns = table.list_columns()
    report = Report(
        name=name,
        title=table.title,
        corner=CPU_UNIT,
        columns=tuple(column for column, _, _ in columns),
        labels=tuple(label for label, _ in table.clients),
        samples={
            column.title: {label: [] for label, _ in table.clients} for column, _, _ in columns
        },
        plotted=table.plotted,
    )
    with ExitStack() as stack:
        workers = start_workers(stack, table, servers, report.skipped)
        times = choose_all_times(workers, table, effort, report.failed)
        shuffle = random.Random(1).shuffle
        for number, case in itertools.product(effort.iterate_rounds(started), table.cases):
            progress.show(f"{name}: round {number} of {effort.rounds}, {case}")
            shuffle(workers)
            for worker in (each for each in workers if (case, each) in times):
                result = worker.run(case, times[case, worker])
                for column, _, metric in (each for each in columns if each[1] == case):
                    report.samples[column.title][worker.label].append(METRICS[metric](result))
    return report


def start_workers(
    stack: ExitStack, table: Table, servers: Servers, skipped: dict[str, str]
) -> list[WorkerProcess]:
    """Start all clients; note in `skipped` why one does not start."""
    workers = [
        stack.enter_context(WorkerProcess(label, path, table, servers))
        for label, path in table.clients
    ]
    for worker in workers:
        try:
            worker.wait_until_ready()
        except WorkerFailedError as error:
            if worker is workers[0] or worker.label.startswith("**"):
                sys.exit(f"{worker.label}: {error}")
            skipped[worker.label] = str(error)
    return [worker for worker in workers if worker.label not in skipped]


def choose_all_times(
    workers: list[WorkerProcess], table: Table, effort: Effort, failed: dict[str, str]
) -> dict[tuple[str, WorkerProcess], int]:
    """Return how many calls a measurement makes; note in `failed` why a case is not measured."""
    times = {}
    for case, worker in itertools.product(table.cases, workers):
        try:
            times[case, worker] = choose_times(worker, case, effort.seconds)
        except WorkerFailedError as error:
            if worker is workers[0] or worker.label.startswith("**"):
                sys.exit(f"{worker.label}, {case}: {error}")
            failed[f"{worker.label}, {case}"] = str(error)
    return times


def choose_times(worker: WorkerProcess, case: str, seconds: float) -> int:
    """Return how many calls take about `seconds`: a multiple of what the case makes at least."""
    step = count_calls(case)
    wall = worker.run(case, step)["wall"]
    if wall * step < seconds:
        wall = worker.run(case, max(step, 16 // step * step))["wall"]
    if wall * step > LONGEST_SECONDS:
        raise WorkerFailedError(f"{wall * step:.1f} s for {step:,} calls, too long to repeat")
    return max(step, int(seconds / wall) // step * step)
