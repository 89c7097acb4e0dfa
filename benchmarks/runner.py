"""Runs the stacks of a table in turn, in shuffled rounds, and prints medians.

A ratio is the median of the ratios of each round: both sides of it were measured within a
second, so the machine's moods cancel out. CPU time (user and system) is the figure to trust.
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


class Stack:
    """A worker process."""

    def __init__(self, label: str, path: str, table: Table, servers: Servers) -> None:
        self.label = label
        pinned = ["taskset", "-c", "0"] if shutil.which("taskset") and os.cpu_count() > 1 else []
        worker = [sys.executable, "-m", "benchmarks.worker"]
        self.process = subprocess.Popen(
            [*pinned, *worker, path, table.target, json.dumps(asdict(servers))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{self.label} did not start: see its message above")
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
    """Return the rounds' figures by case and stack."""
    shuffle = random.Random(1).shuffle
    with ExitStack() as stack:
        stacks = [
            stack.enter_context(Stack(label, path, table, servers)) for label, path in table.stacks
        ]
        figures = {case: {each.label: [] for each in stacks} for case in table.cases}
        times = {}
        for case in table.cases:
            for each in stacks:
                each.run(case, 64)
                pilot = each.run(case, 64)["wall"]
                times[case, each] = max(64, int(seconds / pilot) // 64 * 64)
        for _ in range(rounds):
            for case in table.cases:
                shuffle(stacks)
                for each in stacks:
                    figures[case][each.label].append(each.run(case, times[case, each]))
    return figures


def report(table: Table, figures: dict[str, dict]) -> str:
    """Return a Markdown table: CPU µs per call, and the ratio to the first stack."""
    floor = table.stacks[0][0]
    lines = [
        f"### {table.title}",
        "",
        "| CPU µs per call (ratio) | " + " | ".join(table.cases) + " |",
        "|---|" + "---:|" * len(table.cases),
    ]
    for label, _ in table.stacks:
        cells = []
        for case in table.cases:
            mine, base = figures[case][label], figures[case][floor]
            cpu = median(each["cpu"] for each in mine) * 1e6
            ratio = median(a["cpu"] / b["cpu"] for a, b in zip(mine, base, strict=True))
            cells.append(f"{cpu:.0f} ({ratio:.2f})" if cpu >= 10 else f"{cpu:.1f} ({ratio:.2f})")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
