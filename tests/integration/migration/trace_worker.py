"""A process that uses a MigratingCache at random, and records what it did.

    python -m tests.integration.migration.trace_worker '{"number": 1, "api": "sync", …}'

It ends when its standard input is closed and it has MIN_EVENTS, and prints its events as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from itertools import count
from typing import Any

import django
from django.conf import settings
from django.core.cache import cache, caches

from continuum_upstash.migration import backend
from continuum_upstash.migration.dual.sides import Effect, Sides

KEYS = [f"key:{number}" for number in range(5)]
LOCKS = [f"lock:{number}" for number in range(4)]
OWN = 6  # keys that only one process writes: their times to live must be the same on both sides
MIN_EVENTS = 26  # also on a slow machine
OPERATIONS = {
    "get": 8,
    "get_many": 4,
    "set": 5,
    "set_many": 1,
    "delete": 3,
    "delete_many": 1,
    "expire": 1,
    "add": 2,
    "unlock": 1,
    "counter": 3,
    "own": 3,
    "evict": 4,
}


class SlowSides(Sides):
    """Waits at random before a call, as a busy machine does: processes interleave more often."""

    random = random.Random(7)

    def _perform(self, effect: Effect) -> Any:
        time.sleep(self._draw_delay())
        return super()._perform(effect)

    async def _aperform(self, effect: Effect) -> Any:
        await asyncio.sleep(self._draw_delay())
        return await super()._aperform(effect)

    def _draw_delay(self) -> float:
        return self.random.choice([0, 0, 0, 0, 0, 0.02])


class Worker:
    def __init__(self, number: int, cache: Any, api: str) -> None:
        self._number, self._cache, self._is_async = number, cache, api == "async"
        self._random = random.Random(number)
        self._values = count()
        self.events: list[tuple[str, str, str | None, float, float]] = []

    async def step(self) -> None:
        name = self._random.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        await getattr(self, f"_{name}")()

    async def _call(self, method: str, *args: Any) -> tuple[Any, float, float]:
        started = time.monotonic()
        if self._is_async:
            result = await getattr(self._cache, f"a{method}")(*args)
        else:
            result = getattr(self._cache, method)(*args)
        return result, started, time.monotonic()

    def _record(self, kind: str, key: str, value: Any, started: float, ended: float) -> None:
        self.events.append((kind, key, None if value is None else str(value), started, ended))

    def _draw(self, keys: list[str]) -> str:
        return self._random.choice(keys)

    def _make_value(self) -> str:
        return f"{self._number}-{next(self._values)}"

    async def _get(self) -> None:
        key = self._draw([*KEYS, *LOCKS])
        value, *times = await self._call("get", key)
        self._record("read", key, value, *times)

    async def _get_many(self) -> None:
        keys = self._random.sample(KEYS, 3)
        values, *times = await self._call("get_many", keys)
        for key in keys:
            self._record("read", key, values.get(key), *times)

    async def _set(self) -> None:
        key, value = self._draw(KEYS), self._make_value()
        _, *times = await self._call("set", key, value, self._random.randint(100, 1000))
        self._record("write", key, value, *times)

    async def _set_many(self) -> None:
        values = {key: self._make_value() for key in self._random.sample(KEYS, 3)}
        _, *times = await self._call("set_many", values, 500)
        for key, value in values.items():
            self._record("write", key, value, *times)

    async def _delete(self) -> None:
        key = self._draw(KEYS)
        _, *times = await self._call("delete", key)
        self._record("delete", key, None, *times)

    async def _delete_many(self) -> None:
        keys = self._random.sample(KEYS, 3)
        _, *times = await self._call("delete_many", keys)
        for key in keys:
            self._record("delete", key, None, *times)

    async def _expire(self) -> None:
        key = self._draw(KEYS)
        _, *times = await self._call("touch", key, 0)
        self._record("delete", key, None, *times)

    async def _add(self) -> None:
        key, value = self._draw(LOCKS), self._make_value()
        added, *times = await self._call("add", key, value, 900)
        self._record("add" if added else "attempt", key, value, *times)

    async def _unlock(self) -> None:
        key = self._draw(LOCKS)
        _, *times = await self._call("delete", key)
        self._record("delete", key, None, *times)

    async def _counter(self) -> None:
        """A counter starts at a multiple of a million, which names the write."""
        key = self._draw(["counter:0", "counter:1"])
        kind = self._random.choice(["incr", "incr", "incr", "set", "delete"])
        if kind == "set":
            base = self._number * 1_000_000 + next(self._values)
            _, *times = await self._call("set", key, base * 1_000_000, 800)
            self._record("write", key, base, *times)
        elif kind == "delete":
            _, *times = await self._call("delete", key)
            self._record("delete", key, None, *times)
        else:
            started = time.monotonic()
            try:
                total, *_ = await self._call("incr", key)
            except ValueError:
                return
            self._record("read", key, total // 1_000_000, started, time.monotonic())

    async def _own(self) -> None:
        key = f"own:{self._number}:{self._random.randrange(OWN)}"
        kind = self._random.choice(["set", "touch", "get", "delete"])
        seconds = self._random.randint(100, 1000)
        if kind == "set":
            await self._call("set", key, self._make_value(), seconds)
        elif kind == "touch":
            await self._call("touch", key, seconds)
        else:
            await self._call(kind, key)

    async def _evict(self) -> None:
        """The new database evicts a key: the next read copies it again."""
        key = self._draw(KEYS)
        if self._is_async:
            await caches["new"].adelete(key)
        else:
            caches["new"].delete(key)


def main() -> None:
    options = json.loads(sys.argv[1])
    settings.configure(
        SECRET_KEY="only-for-tests",
        CACHES=options["caches"],
        CONTINUUM_STATS={"SHARED": False},
        USE_TZ=True,
    )
    django.setup()
    backend.Sides = SlowSides

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    worker = Worker(options["number"], cache, options["api"])

    async def run() -> None:
        print("ready", flush=True)  # noqa: T201 for the process that has started this one
        while not ended.is_set() or len(worker.events) < MIN_EVENTS:
            await worker.step()

    asyncio.run(run())
    print(json.dumps(worker.events), flush=True)  # noqa: T201 as above


if __name__ == "__main__":
    main()
