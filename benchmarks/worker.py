"""One stack in one process: takes what to run on standard input, answers with its times.

A process of its own, so that one stack's garbage, threads and imports are not another's.
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
AT_ONCE = 64
THREADS = 32


class Worker:
    def __init__(self, stack):
        self.stack = stack
        self.is_async = getattr(stack, "is_async", False)
        self.runner = asyncio.Runner() if self.is_async else None

    def prepare(self):
        """Write the values and check that each comes back, before anything is timed."""
        for case in ("SET 100 B", "SET 10 KB", "set_many 100"):
            self.repeat(case, 1)
        for key, value in (("small", SMALL), ("large", LARGE)):
            assert self.call("get", key) == value
        assert self.call("get_many", list(MANY)) == MANY

    def call(self, name, *args):
        result = getattr(self.stack, name)(*args)
        return self.runner.run(_awaited(result)) if self.is_async else result

    def repeat(self, case, times):
        name, *args = CASES[case]
        method = getattr(self.stack, name)
        if self.is_async:
            self.runner.run(_repeat(method, args, times))
            return
        for _ in range(times):
            method(*args)

    def at_once(self, times):
        """GETs of 100 B: so many tasks, or threads, at once."""
        if self.is_async:
            self.runner.run(_gather(self.stack.get, times))
            return
        with ThreadPoolExecutor(THREADS) as pool:
            share = times // THREADS
            list(
                pool.map(lambda _: [self.stack.get("small") for _ in range(share)], range(THREADS))
            )

    def run(self, case, times):
        gc.collect()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        if case == "concurrent calls":
            self.at_once(times)
        else:
            self.repeat(case, times)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return {"wall": wall / times, "cpu": cpu / times}


async def _awaited(coroutine):
    return await coroutine


async def _repeat(method, args, times):
    for _ in range(times):
        await method(*args)


async def _gather(get, times):
    for _ in range(times // AT_ONCE):
        await asyncio.gather(*(get("small") for _ in range(AT_ONCE)))


def main():
    path, target, servers = sys.argv[1:4]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    module, _, name = path.rpartition(".")
    stack = getattr(importlib.import_module(module), name)
    worker = Worker(stack(Servers(**json.loads(servers)), target))
    worker.prepare()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
