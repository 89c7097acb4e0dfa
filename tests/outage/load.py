"""The processes of a site, seen from a test."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.outage.history_checker import Operation, stale_reads
from tests.outage.site import wait_until

INTERVAL = 1.0  # HEALTH_CHECK_INTERVAL
OPTIONS = {"connect_timeout": 0.5, "read_timeout": 0.5, "health_check_interval": INTERVAL}


class Worker:
    """One process.

    Attributes:
        state: of its breaker.
        calls: how many its threads have made.
    """

    def __init__(
        self,
        number: int,
        api: str,
        client: Mapping[str, Any],
        result: Path,
        within: Sequence[str],
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
                [*within, sys.executable, "-m", "tests.outage.worker", json.dumps(settings)],
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
            told = json.loads(line)
            self.state, self.calls = told["state"], told["calls"]

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._listener.join()
        self._process.stdout.close()


class Crowd:
    """All processes.

    Args:
        clients: a api and a client's arguments for each.
        directory: where they leave their accounts.
        within: what a command is prefixed with to run in their network.
    """

    def __init__(
        self,
        clients: Iterable[tuple[str, Mapping[str, Any]]],
        directory: Path,
        within: Sequence[str] = (),
    ) -> None:
        self.workers = [
            Worker(number, api, client, directory / f"worker{number}.pickle", within)
            for number, (api, client) in enumerate(clients)
        ]
        self._results: list[dict[str, Any]] = []

    def wait_for_state(self, *states: str) -> None:
        wait_until(lambda: all(worker.state in states for worker in self.workers))

    def work_on(self, calls: int) -> None:
        """Wait until so many more calls have been made."""
        wanted = self._calls() + calls
        wait_until(lambda: self._calls() >= wanted, seconds=600)

    def stop(self) -> None:
        while self.workers:
            worker = self.workers.pop()
            worker.stop()
            self._results += json.loads(worker.result.read_text(encoding="utf-8"))

    def report(self) -> Report:
        return Report(self._results)

    def _calls(self) -> int:
        return sum(worker.calls for worker in self.workers)


class Report:
    """What came of it.

    Attributes:
        calls: how many.
        failures: the errors that calls raised.
        stale: reads that were too old.
        pages: seconds of the pages that were made while the database was given up, sorted.
    """

    def __init__(self, results: Sequence[Mapping[str, Any]]) -> None:
        self.calls = sum(result["calls"] for result in results)
        self.failures = [failure for result in results for failure in result["failures"]]
        self.operations = [Operation(*each) for result in results for each in result["history"]]
        self.stale = stale_reads(self.operations)
        self.pages = sorted(
            seconds for result in results for seconds, opened in result["pages"] if opened
        )

    @property
    def p99(self) -> float:
        """Seconds within which 99 of 100 of those pages were made."""
        return self.pages[len(self.pages) * 99 // 100]

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {len(self.operations)} recorded operations, "
            f"{len(self.failures)} errors, {len(self.stale)} stale reads; "
            f"{len(self.pages)} pages while open, p99 {self.p99 * 1000:.1f} ms"
        )
