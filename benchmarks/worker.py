"""Runs one client: reads cases from standard input, writes their times to standard output.

Each client has its own process, because garbage, threads and imports of one would slow another.
The first line is the result of the start: null, or why the client cannot be measured.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib
import json
import os
import random
import resource
import string
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from benchmarks.servers import Servers

_random = random.Random(7)


def make_text(size):
    return "".join(_random.choices(string.ascii_letters, k=size))


SIZES = {"100 B": 100, "10 KB": 10_240, "1 MB": 1_000_000}
VALUES = {f"value:{size}": make_text(size) for size in SIZES.values()}
SMALL = "value:100"
MANY = {
    count: {f"many:{number:04}": VALUES[SMALL] for number in range(count)} for count in (100, 1_000)
}
CASES = {
    **{f"GET {name}": ("get", f"value:{size}") for name, size in SIZES.items()},
    **{
        f"SET {name}": ("set", f"value:{size}", VALUES[f"value:{size}"])
        for name, size in SIZES.items()
    },
    **{f"get_many {count}": ("get_many", list(values)) for count, values in MANY.items()},
    **{f"set_many {count}": ("set_many", values) for count, values in MANY.items()},
}
THREADS = {"1 thread": 1, "32 threads": 32}
TASKS = {"64 tasks": 64, "1,000 tasks": 1_000}
REQUESTS = {"100 requests": 100}
OPERATIONS_PER_REQUEST = 10


def count_calls(case):
    """Return how many calls a case makes at least: one, or one in each thread or task."""
    if case in REQUESTS:
        return REQUESTS[case] * OPERATIONS_PER_REQUEST
    return THREADS.get(case) or TASKS.get(case) or 1


class Worker:
    def __init__(self, client, cases):
        self.client = client
        self.cases = cases
        self.runner = asyncio.Runner() if getattr(client, "is_async", False) else None

    def prepare(self):
        """Write the values and check that each can be read, before anything is timed."""
        if self.cases[0] in REQUESTS:
            return
        for case in self.cases:
            name, target = CASES.get(case, ("get", SMALL))[:2]
            if name.endswith("_many"):
                values = MANY[len(target)]
                self.call("set_many", values)
                assert self.call("get_many", list(values)) == values
            else:
                self.call("set", target, VALUES[target])
                assert self.call("get", target) == VALUES[target]

    def call(self, name, *args):
        result = getattr(self.client, name)(*args)
        return self.runner.run(_await(result)) if self.runner else result

    def repeat(self, case, times):
        if case in REQUESTS:
            rounds = times // count_calls(case)
            self.runner.run(_serve_requests(self.client.serve_request, REQUESTS[case], rounds))
        elif case in TASKS:
            self.runner.run(_gather(self.client.get, TASKS[case], times // TASKS[case]))
        elif case in THREADS:
            self._repeat_in_threads(THREADS[case], times)
        elif self.runner:
            name, *args = CASES[case]
            self.runner.run(_repeat(getattr(self.client, name), args, times))
        else:
            name, *args = CASES[case]
            method = getattr(self.client, name)
            for _ in range(times):
                method(*args)

    def _repeat_in_threads(self, threads, times):
        def read(_):
            for _ in range(times // threads):
                self.client.get(SMALL)

        list(_get_pool(threads).map(read, range(threads)))

    def run(self, case, times):
        gc.collect()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        self.repeat(case, times)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return {"wall": wall / times, "cpu": cpu / times}


@cache
def _get_pool(threads):
    return ThreadPoolExecutor(threads)


async def _await(coroutine):
    return await coroutine


async def _repeat(method, args, times):
    for _ in range(times):
        await method(*args)


async def _gather(get, tasks, times):
    for _ in range(times):
        await asyncio.gather(*(get(SMALL) for _ in range(tasks)))


async def _serve_requests(serve_request, count, times):
    """Run concurrent tasks without a common context, as a server runs requests."""
    for _ in range(times):
        tasks = (
            asyncio.create_task(serve_request(), context=contextvars.Context())
            for _ in range(count)
        )
        await asyncio.gather(*tasks)


def start(path, target, servers, cases):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    module, _, name = path.rpartition(".")
    client = getattr(importlib.import_module(module), name)
    worker = Worker(client(Servers(**json.loads(servers)), target), json.loads(cases))
    worker.prepare()
    gc.freeze()
    return worker


def main():
    try:
        worker = start(*sys.argv[1:])
    except ModuleNotFoundError as error:
        print(json.dumps(f"{error.name} is not installed"), flush=True)
        return
    print(json.dumps(None), flush=True)
    for line in sys.stdin:
        try:
            result = worker.run(**json.loads(line))
        except Exception as error:  # of any library
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)
    # The threads of a client need not end.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
