"""Processes that load a database with cache calls, as a test controls them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.outage.history_checker import Operation, find_stale_reads
from tests.waiting import wait_until

INTERVAL = 1.0  # HEALTH_CHECK_INTERVAL
OPTIONS = {"connect_timeout": 0.5, "read_timeout": 0.5, "health_check_interval": INTERVAL}


class WorkerProcess:
    """One process; its program is worker.py.

    Attributes:
        state: of its circuit breaker.
        calls: the number of calls that it has made.
    """

    def __init__(
        self,
        number: int,
        api: str,
        client: Mapping[str, Any],
        result: Path,
        command_prefix: Sequence[str],
    ) -> None:
        self.state, self.calls = "starting", 0
        self.result = result
        settings = {
            "number": number,
            "api": api,
            "client": OPTIONS | dict(client),
            "result": str(result),
        }
        with result.with_suffix(".log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    *command_prefix,
                    sys.executable,
                    "-m",
                    "tests.outage.worker",
                    json.dumps(settings),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            progress = json.loads(line)
            self.state, self.calls = progress["state"], progress["calls"]

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._listener.join()
        self._process.stdout.close()


class Load:
    """All worker processes.

    Args:
        clients: the API (``sync`` or ``async``) and the client's arguments of each worker.
        directory: for the workers' results.
        command_prefix: a command that runs another one in the clients' network.
    """

    def __init__(
        self,
        clients: Iterable[tuple[str, Mapping[str, Any]]],
        directory: Path,
        command_prefix: Sequence[str] = (),
    ) -> None:
        self.workers = [
            WorkerProcess(number, api, client, directory / f"worker{number}.pickle", command_prefix)
            for number, (api, client) in enumerate(clients)
        ]
        self._results: list[dict[str, Any]] = []

    def wait_for_state(self, *states: str) -> None:
        wait_until(lambda: all(worker.state in states for worker in self.workers), seconds=60)

    def wait_for_calls(self, calls: int) -> None:
        """Wait until so many further calls have been made."""
        target = self._count_calls() + calls
        wait_until(lambda: self._count_calls() >= target, seconds=600)

    def stop(self) -> None:
        while self.workers:
            worker = self.workers.pop()
            worker.stop()
            self._results += json.loads(worker.result.read_text(encoding="utf-8"))

    def get_report(self) -> Report:
        return Report(self._results)

    def _count_calls(self) -> int:
        return sum(worker.calls for worker in self.workers)


class Report:
    """The results of all workers.

    Attributes:
        calls: the number of calls.
        failures: the errors that calls raised.
        stale: stale reads, each with the write that it missed.
        pages: sorted seconds of the pages that were served while the breaker was open.
    """

    def __init__(self, results: Sequence[Mapping[str, Any]]) -> None:
        self.calls = sum(result["calls"] for result in results)
        self.failures = [failure for result in results for failure in result["failures"]]
        self.operations = [Operation(*each) for result in results for each in result["history"]]
        self.stale = find_stale_reads(self.operations)
        self.pages = sorted(
            seconds for result in results for seconds, opened in result["pages"] if opened
        )

    @property
    def p99(self) -> float:
        """The 99th percentile of `pages`, in seconds."""
        return self.pages[len(self.pages) * 99 // 100]

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {len(self.operations)} recorded operations, "
            f"{len(self.failures)} errors, {len(self.stale)} stale reads; "
            f"{len(self.pages)} pages while open"
            + (f", p99 {self.p99 * 1000:.1f} ms" if self.pages else "")
        )
