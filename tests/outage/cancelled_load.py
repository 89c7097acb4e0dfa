"""Async calls of one process, many of them cancelled, and the history of what they did."""

from __future__ import annotations

import asyncio
import itertools
import random
from math import inf
from time import perf_counter
from typing import Any

from continuum_upstash import AsyncUpstashCache
from tests.outage.history_checker import Operation

TASKS = 64
KEYS = [f"key{number}" for number in range(12)]
TTL = 60
# Operations that ended earlier than this before a check cannot make a later read stale.
CHECKED_AT_ONCE = 20_000


class CancelledLoad:
    """Runs calls until their number is reached.

    Attributes:
        calls: the number of calls.
        cancelled: how many of them were cancelled.
        history: the writes, the deletes, and the reads that found a value.
    """

    def __init__(self, client: AsyncUpstashCache, seed: int) -> None:
        self._client = client
        self._rng = random.Random(seed)
        self._values = itertools.count()
        self.calls = self.cancelled = 0
        self.history: list[Operation] = []

    async def run(self, calls: int) -> None:
        target = self.calls + calls
        await asyncio.gather(*[self._work(target) for _ in range(TASKS)])

    async def _work(self, target: int) -> None:
        operations = [self._set, self._delete, self._get, self._get, self._get_or_set]
        while self.calls < target:
            self.calls += 1
            call = self._rng.choice(operations)(self._rng.choice(KEYS))
            if self._rng.random() < 0.3:
                await self._run_and_cancel(call)
            else:
                await call

    async def _run_and_cancel(self, call: Any) -> None:
        task = asyncio.ensure_future(call)
        await asyncio.sleep(self._rng.choice([0, 0, 0.0005, 0.001, 0.002, 0.004]))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.cancelled += 1

    async def _set(self, key: str) -> None:
        value = self._make_value()
        await self._write(key, value, self._client.set(key, value, ttl=TTL))

    async def _delete(self, key: str) -> None:
        await self._write(key, None, self._client.delete(key))

    async def _write(self, key: str, value: str | None, call: Any) -> None:
        began, ended = perf_counter(), inf
        try:
            await call
            ended = perf_counter()
        finally:
            self.history.append(Operation(0, "write", key, value, began, ended))

    async def _get(self, key: str) -> None:
        began = perf_counter()
        self._record_read(key, await self._client.get(key), began)

    async def _get_or_set(self, key: str) -> None:
        began, ended, computed = perf_counter(), inf, []

        async def compute() -> str:
            await asyncio.sleep(0)
            computed.append(self._make_value())
            return computed[0]

        try:
            found = await self._client.get_or_set(key, compute, ttl=TTL)
            ended = perf_counter()
        finally:
            self.history += [Operation(0, "write", key, value, began, ended) for value in computed]
        self._record_read(key, found, began)

    def _record_read(self, key: str, value: str | None, began: float) -> None:
        if value is not None:
            self.history.append(Operation(0, "read", key, value, began, perf_counter()))

    def _make_value(self) -> str:
        return str(next(self._values))
