"""Compares the CPU time of calls to that of a bare socket, and fails if it has grown much.

    python -m benchmarks.gate

For CI: it takes about 10 seconds and needs no C compiler. Both clients take turns, so that the
machine's load affects both; a limit is about 1.6 times the ratio of November 2026. A table above a
limit is measured once more, with more rounds, before the gate fails.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import runner
from benchmarks.report.progress import Progress
from benchmarks.report.summary import Report
from benchmarks.runner import Effort
from benchmarks.servers import Servers, find_free_ports, run_process, run_redis
from benchmarks.tables import LOCAL, REST, TCP, Table

CALLS = ("GET 100 B", "SET 100 B", "get_many 100", "set_many 100")
TABLES = {
    "rest": Table("REST", "http", REST[:2], CALLS),
    "tcp": Table("TCP", "redis", TCP[:2], CALLS),
    "local": Table("Local store", "local", LOCAL, ("GET 100 B", "SET 100 B", "set_many 100")),
}
# The highest ratio of the CPU time to the first client's: a bare socket, or LocMemCache.
LIMITS = {
    "rest": (2.9, 3.5, 3.5, 5.2),
    "tcp": (3.1, 3.1, 5.0, 3.7),
    "local": (2.1, 2.9, 1.7),
}
EFFORT, SECOND_EFFORT = Effort(7, 0.03, 6.0), Effort(15, 0.05, 12.0)


def main() -> None:
    progress, failures = Progress(15.0), []
    with start_servers() as servers:
        for name, table in TABLES.items():
            report = runner.measure(name, table, servers, EFFORT, progress)
            if find_excesses(report, LIMITS[name]):
                report = runner.measure(name, table, servers, SECOND_EFFORT, progress)
            progress.clear()
            for text in describe(report, LIMITS[name]):
                print(text)
            failures += find_excesses(report, LIMITS[name])
    if failures:
        sys.exit("\n".join(failures))


@contextmanager
def start_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gate-"))
        http, redis = find_free_ports(2)
        server = (sys.executable, "-m", "benchmarks.gate_server", http)
        stack.enter_context(run_process(*server, port=http))
        stack.enter_context(run_redis(redis, None, Path(folder)))
        yield Servers(
            http=f"http://127.0.0.1:{http}",
            https="",
            https_1ms="",
            redis=f"redis://127.0.0.1:{redis}/0",
            redis_tls="",
            ca_file="",
        )


def describe(report: Report, limits: tuple[float, ...]) -> Iterator[str]:
    for column, limit in zip(report.columns, limits, strict=True):
        ratio = report.get_ratio(column, report.labels[1])
        assert ratio is not None
        yield f"{report.title}, {column.title}: {ratio.median:.2f}x, limit {limit}x"


def find_excesses(report: Report, limits: tuple[float, ...]) -> list[str]:
    """Return a message for each ratio above its limit."""
    baseline, own = report.labels
    messages = []
    for column, limit in zip(report.columns, limits, strict=True):
        ratio = report.get_ratio(column, own)
        if ratio is not None and ratio.median > limit:
            messages.append(
                f"{report.title}, {column.title}: {own.strip('*')} needs {ratio.median:.2f} times "
                f"the CPU time of {baseline} (median of {report.rounds} rounds, quartiles "
                f"{ratio.lower:.2f} to {ratio.upper:.2f}); the limit is {limit}. Compare with the "
                f"commit before: python -m benchmarks {report.name} --quick"
            )
    return messages


if __name__ == "__main__":
    main()
