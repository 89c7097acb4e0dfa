"""Runs one client: reads cases from standard input, writes their times to standard output.

Each client has its own process, because garbage, threads and imports of one would slow another.
"""

from __future__ import annotations

import asyncio
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

from benchmarks.servers import Servers

_random = random.Random(7)
SMALL = "".join(_random.choices(string.ascii_letters, k=100))
LARGE = "".join(_random.choices(string.ascii_letters, k=10_240))
MANY = {f"many:{number:03}": SMALL for number in range(100)}
CASES = {
    "GET 100 B": ("get", "small"),
    "GET 10 KB": ("get", "large"),
    "SET 100 B": ("set", "small", SMALL),
    "SET 10 KB": ("set", "large", LARGE),
    "get_many 100": ("get_many", list(MANY)),
    "set_many 100": ("set_many", MANY),
}
CONCURRENT_TASKS = 64
CONCURRENT_THREADS = 32


class Worker:
    def __init__(self, client):
        self.client = client
        self.is_async = getattr(client, "is_async", False)
        self.runner = asyncio.Runner() if self.is_async else None

    def prepare(self):
        """Write the values and check that each can be read, before anything is timed."""
        for case in ("SET 100 B", "SET 10 KB", "set_many 100"):
            self.repeat(case, 1)
        for key, value in (("small", SMALL), ("large", LARGE)):
            assert self.call("get", key) == value
        assert self.call("get_many", list(MANY)) == MANY

    def call(self, name, *args):
        result = getattr(self.client, name)(*args)
        return self.runner.run(_await(result)) if self.is_async else result

    def repeat(self, case, times):
        name, *args = CASES[case]
        method = getattr(self.client, name)
        if self.is_async:
            self.runner.run(_repeat(method, args, times))
            return
        for _ in range(times):
            method(*args)

    def repeat_concurrently(self, times):
        """Run GETs of 100 B in concurrent tasks or threads."""
        if self.is_async:
            self.runner.run(_gather(self.client.get, times))
            return
        with ThreadPoolExecutor(CONCURRENT_THREADS) as pool:
            share = times // CONCURRENT_THREADS
            list(
                pool.map(
                    lambda _: [self.client.get("small") for _ in range(share)],
                    range(CONCURRENT_THREADS),
                )
            )

    def run(self, case, times):
        gc.collect()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        if case == "concurrent calls":
            self.repeat_concurrently(times)
        else:
            self.repeat(case, times)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return {"wall": wall / times, "cpu": cpu / times}


async def _await(coroutine):
    return await coroutine


async def _repeat(method, args, times):
    for _ in range(times):
        await method(*args)


async def _gather(get, times):
    for _ in range(times // CONCURRENT_TASKS):
        await asyncio.gather(*(get("small") for _ in range(CONCURRENT_TASKS)))


def main():
    path, target, servers = sys.argv[1:4]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    module, _, name = path.rpartition(".")
    client = getattr(importlib.import_module(module), name)
    worker = Worker(client(Servers(**json.loads(servers)), target))
    worker.prepare()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
