"""Compares the statistics' bill with the emulator's for an hour of the example site.

    python -m benchmarks.recorded_hour [VISITS]

One process serves the pages of the example site to visitors, three cron jobs end after some hundred
commands, and three processes like those of AWS Lambda are killed after their last invocation. The
clock of the statistics is simulated: an hour passes, whatever time the machine needs.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from tempfile import TemporaryDirectory

from continuum_upstash.emulator.process import Emulator, running

VISITS = 3600  # one each second
HOUR = 3600.0
INVOCATIONS = 120  # of each process, one in 30 seconds
PAGES = (
    ("articles/?topic=networks", 30),
    ("articles/?topic=databases", 20),
    ("cached-page/", 15),
    ("", 10),
    ("limits/api/", 10),
    ("dashboard/", 3),
    ("devices/", 3),
    ("counter/", 3),
)


def main() -> None:
    truth, counted, overhead = measure(int(sys.argv[1]) if len(sys.argv) > 1 else VISITS)
    print("| emulator | statistics | of them overhead | difference |\n|---|---|---|---|")
    print(f"| {truth:,} | {counted:,} | {overhead:,} | {counted / truth - 1:+.2%} |")


def measure(visits: int) -> tuple[int, int, int]:
    """Return the billed commands by the emulator and by the statistics, and their overhead."""
    with running() as emulator, TemporaryDirectory() as state, configure(emulator, state):
        emulator.reset()
        jobs = [["site", str(visits)], *([["cron"]] * 3), *([["lambda"]] * 3)]
        for each in [run_process(job) for job in jobs]:
            assert each.wait() == 0
        truth = emulator.read_usage().billed
        counted, overhead = read_statistics()
    return truth, counted, overhead


@contextmanager
def configure(emulator: Emulator, state: str) -> Iterator[None]:
    """Configure the example site by the environment; both aliases use REST."""
    values = {"DEMO_STATE": state, "DJANGO_SETTINGS_MODULE": "example_project.settings"}
    for prefix in ("", "SESSIONS_"):
        values[f"{prefix}UPSTASH_REDIS_REST_URL"] = emulator.rest_url
        values[f"{prefix}UPSTASH_REDIS_REST_TOKEN"] = emulator.token
        values[f"{prefix}UPSTASH_REDIS_URL"] = emulator.redis_url
    os.environ.update(values)
    yield


def run_process(job: list[str]) -> subprocess.Popen[bytes]:
    code = f"from benchmarks import recorded_hour; recorded_hour.run_job({job!r})"
    return subprocess.Popen([sys.executable, "-c", code])


def run_job(job: list[str]) -> None:
    import django

    django.setup()
    logging.disable()  # the limits refuse some visits
    jobs: dict[str, Callable[..., None]] = {
        "site": serve_visitors, "cron": run_cron, "lambda": run_lambda,
    }  # fmt: skip
    jobs[job[0]](*map(int, job[1:]))


def simulate_clock() -> Callable[[float], None]:
    """Give this process's statistics a clock, and return what advances it."""
    from continuum_upstash.stats.shared.writer import SharedWriter
    from continuum_upstash.transports.registry import get_process_state

    now = [0.0]
    get_process_state(SharedWriter, lambda: SharedWriter(clock=lambda: now[0]))

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def serve_visitors(visits: int) -> None:
    from django.core.management import call_command
    from django.test import Client

    from example_project.seed import seed

    advance = simulate_clock()
    call_command("migrate", verbosity=0)
    seed()
    draw, visitors = random.Random(7), [Client() for _ in range(20)]
    pages, weights = zip(*PAGES, strict=True)
    for _ in range(visits):
        visitor = draw.choice(visitors)
        (page,) = draw.choices(pages, weights)
        visitor.get(f"/{page}", headers={"host": "localhost"})
        advance(HOUR / visits)


def run_cron() -> None:
    from django.core.cache import cache

    for number in range(300):
        cache.set(f"report:{number}", number, 3600)
    cache.get_many([f"report:{number}" for number in range(300)])


def run_lambda() -> None:
    from django.core.cache import cache
    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections

    request_finished.disconnect(close_old_connections)
    advance, numbers = simulate_clock(), count()
    for _ in range(INVOCATIONS):
        request_started.send(None)
        for number in (next(numbers) % 50 for _ in range(10)):
            cache.get_or_set(f"price:{number}", number, 600)
        request_finished.send(None)
        advance(HOUR / INVOCATIONS)
    os._exit(0)  # a frozen environment is killed


def read_statistics() -> tuple[int, int]:
    """Return the month's billed commands, and those of the statistics among them."""
    import django

    django.setup()
    from django.core.cache import caches

    from continuum_upstash.health import read_overview

    cache = caches["default"]
    overview = cache.run(read_overview(cache, now=datetime.now(UTC)))
    sessions = caches["sessions"].run(read_overview(caches["sessions"]))
    assert overview.bill is not None, overview.errors
    return overview.bill.commands, overview.today.overhead + sessions.today.overhead


if __name__ == "__main__":
    main()
