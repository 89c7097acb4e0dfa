"""Runs the clients of a table in shuffled rounds and prints medians.

A ratio is the median of the ratios of all rounds. Both sides of a ratio are measured within a
second, so a change in the machine's load affects both. CPU time (user and system) is the most
reliable figure.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import Self

from benchmarks.servers import Servers
from benchmarks.tables import Table


class WorkerProcess:
    """A process of benchmarks.worker, which runs one client."""

    def __init__(self, label: str, path: str, table: Table, servers: Servers) -> None:
        self.label = label
        pin_to_cpu = (
            ["taskset", "-c", "0"] if shutil.which("taskset") and os.cpu_count() > 1 else []
        )
        worker = [sys.executable, "-m", "benchmarks.worker"]
        self.process = subprocess.Popen(
            [*pin_to_cpu, *worker, path, table.target, json.dumps(asdict(servers))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{self.label}: the worker did not start; its error is printed above")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, case: str, times: int) -> dict[str, float]:
        self.process.stdin.write(json.dumps({"case": case, "times": times}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def measure(table: Table, servers: Servers, rounds: int, seconds: float) -> dict[str, dict]:
    """Return the seconds per call of every round, by case and client."""
    shuffle = random.Random(1).shuffle
    with ExitStack() as stack:
        workers = [
            stack.enter_context(WorkerProcess(label, path, table, servers))
            for label, path in table.clients
        ]
        results = {case: {worker.label: [] for worker in workers} for case in table.cases}
        times = {}
        for case in table.cases:
            for worker in workers:
                worker.run(case, 64)
                pilot = worker.run(case, 64)["wall"]
                times[case, worker] = max(64, int(seconds / pilot) // 64 * 64)
        for _ in range(rounds):
            for case in table.cases:
                shuffle(workers)
                for worker in workers:
                    results[case][worker.label].append(worker.run(case, times[case, worker]))
    return results


def format_table(table: Table, results: dict[str, dict]) -> str:
    """Return a Markdown table: CPU µs per call, and the ratio to the first client."""
    baseline_label = table.clients[0][0]
    lines = [
        f"### {table.title}",
        "",
        "| CPU µs per call (ratio) | " + " | ".join(table.cases) + " |",
        "|---|" + "---:|" * len(table.cases),
    ]
    for label, _ in table.clients:
        cells = []
        for case in table.cases:
            rounds, baseline = results[case][label], results[case][baseline_label]
            cpu = median(each["cpu"] for each in rounds) * 1e6
            ratio = median(a["cpu"] / b["cpu"] for a, b in zip(rounds, baseline, strict=True))
            cells.append(f"{cpu:.0f} ({ratio:.2f})" if cpu >= 10 else f"{cpu:.1f} ({ratio:.2f})")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
