"""Measures `get_or_set` under a stampede: 8 processes with 8 threads each read one absent key.

The function that computes the value takes 100 ms, as a slow query does. With `grace`, the key has
expired, and its old value is still there. The parent process of a row starts its processes by fork,
so that all of them have imported the same.

    python -m benchmarks.stampede ROW URL      one round of one row, as JSON
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.report.progress import Progress
from benchmarks.report.summary import Column, Report, compute_percentile
from benchmarks.runner import Effort
from benchmarks.servers import Servers

NAME = "stampede"
PROCESSES, THREADS, COMPUTE_SECONDS = 8, 8, 0.1
TITLE = f"get_or_set of one key, {PROCESSES} processes with {THREADS} threads each, over TCP"
RUNS, COMMANDS, SLOW = "computations", "commands", "calls over 50 ms, of 64"
MEDIAN, P99 = "median, ms", "p99, ms"
COLUMNS = tuple(Column(title, has_ratio=False) for title in (RUNS, COMMANDS, SLOW, MEDIAN, P99))
KEY, LIFETIME, LIFETIME_OF_OLD = "slow-query", 300, 1
# Commands that clients send when they connect.
HANDSHAKE = {"hello", "client", "auth", "select", "ping", "info", "config", "command", "flushall"}

CONTINUUM = "continuum_upstash.backend.CacheBackend"
ROWS: dict[str, tuple[str, dict[str, float]]] = {
    "**continuum-upstash**": (CONTINUUM, {}),
    "**continuum-upstash**, wait=5": (CONTINUUM, {"wait": 5}),
    "**continuum-upstash**, grace=60": (CONTINUUM, {"grace": 60}),
    "django-redis": ("django_redis.cache.RedisCache", {}),
    "Django RedisCache": ("django.core.cache.backends.redis.RedisCache", {}),
    "django-valkey": ("django_valkey.cache.ValkeyCache", {}),
    "django-vcache": ("django_vcache.backend.ValkeyCache", {}),
}


def measure(servers: Servers, effort: Effort, progress: Progress) -> Report:
    """
    Raises:
        SystemExit: a client of this package failed.
    """
    started = time.monotonic()
    report = Report(
        name=NAME,
        title=TITLE,
        corner="client",
        columns=COLUMNS,
        labels=tuple(ROWS),
        samples={column.title: {label: [] for label in ROWS} for column in COLUMNS},
        plotted=(RUNS, SLOW),
    )
    for number in effort.iterate_rounds(started):
        for label in ROWS:
            progress.show(f"{NAME}: round {number} of {effort.rounds}, {label}")
            if label not in report.skipped:
                _measure_once(report, label, servers.redis)
    return report


def _measure_once(report: Report, label: str, url: str) -> None:
    command = [sys.executable, "-m", "benchmarks.stampede", label, url]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if run.returncode:
        reason = run.stderr.strip().rpartition("\n")[2]
        if label.startswith("**"):
            sys.exit(f"{label}: {reason}")
        report.skipped[label] = reason
        return
    for title, figure in json.loads(run.stdout).items():
        report.samples[title][label].append(figure)


def measure_stampede(label: str, url: str) -> dict[str, float]:
    """Return the figures of one round by column."""
    import redis
    from django.conf import settings
    from django.utils.module_loading import import_string

    path, options = ROWS[label]
    settings.configure(SECRET_KEY="only-for-benchmarks")
    backend = import_string(path)
    database = redis.Redis.from_url(url)
    database.flushall()
    if "grace" in options:
        backend(url, {}).get_or_set(KEY, compute, LIFETIME_OF_OLD, **options)
        time.sleep(LIFETIME_OF_OLD + 0.1)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(PROCESSES + 1), context.Queue()
    arguments = (lambda: backend(url, {}), options, barrier, results)
    processes = [
        context.Process(target=run_threads, args=arguments, daemon=True) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    barrier.wait(30)
    before = count_commands(database)
    barrier.wait(30)
    seconds, runs = [], 0
    for _ in processes:
        own_seconds, own_runs = results.get(timeout=30)
        seconds += own_seconds
        runs += own_runs
    commands = count_commands(database) - before
    return {
        RUNS: runs,
        COMMANDS: commands,
        SLOW: sum(each > COMPUTE_SECONDS / 2 for each in seconds),
        MEDIAN: compute_percentile(seconds, 50) * 1e3,
        P99: compute_percentile(seconds, 99) * 1e3,
    }


def compute() -> dict[str, Any]:
    time.sleep(COMPUTE_SECONDS)
    return {"rows": list(range(20))}


def count_commands(database: Any) -> int:
    stats = database.info("commandstats")
    return sum(
        each["calls"]
        for name, each in stats.items()
        if name.removeprefix("cmdstat_").partition("|")[0] not in HANDSHAKE
    )


def run_threads(
    make_cache: Callable[[], Any], options: dict[str, float], barrier: Any, results: Any
) -> None:
    """Read the key in all threads of one process, and report their times and computations."""
    cache, seconds, runs = make_cache(), [], []
    cache.get("connect")

    def compute_and_count() -> dict[str, Any]:
        runs.append(1)
        return compute()

    start = threading.Barrier(THREADS + 1)

    def read() -> None:
        start.wait(30)
        started = time.perf_counter()
        value = cache.get_or_set(KEY, compute_and_count, LIFETIME, **options)
        seconds.append(time.perf_counter() - started)
        assert value == {"rows": list(range(20))}

    threads = [threading.Thread(target=read) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait(30)
    barrier.wait(30)
    start.wait(30)
    for thread in threads:
        thread.join()
    if len(seconds) == THREADS:
        time.sleep(0.3)  # a computation in the background may still run
        results.put((seconds, len(runs)))
    results.close()
    results.join_thread()


if __name__ == "__main__":
    print(json.dumps(measure_stampede(*sys.argv[1:])), flush=True)
    os._exit(0)  # the threads of a client need not end
