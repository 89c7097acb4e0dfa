"""A worker process: threads or tasks that serve pages made of cache calls, and record them.

    python -m tests.outage.worker '{"number": 1, "api": "sync", "result": …, "client": {…}}'

It prints its state and the number of its calls as they change. When its standard input is closed,
it writes its results to the file `result` and ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from continuum_upstash import AsyncUpstashCache, UpstashCache
from tests.outage.history_checker import Operation

WORKERS = 8
CALLS_PER_PAGE = 10
PAUSE = 0.02
SHARED_KEYS = [f"shared:{number}" for number in range(40)]

Records = list[tuple[str, str, str | None]]
Step = tuple[str, tuple[Any, ...], Callable[[Any], Records]]


class Recorder:
    """The cache calls of one thread or task.

    Attributes:
        history: the operations, for the history checker.
        calls: the number of cache calls.
        failures: the errors of those that raised one.
        pages: the seconds of each page, and whether the breaker was open all the time.
    """

    def __init__(self, process: int, number: int) -> None:
        self.history: list[Operation] = []
        self.calls = 0
        self.failures: list[str] = []
        self.pages: list[tuple[float, bool]] = []
        self._process = process
        self._random = random.Random(100 * process + number)
        self._values = (f"{process}-{number}-{turn}" for turn in count())
        self._keys = [*SHARED_KEYS, *(f"own:{process}:{each}" for each in range(20))]

    def draw_page(self) -> Iterator[Step]:
        """Yield calls: a method, its arguments, and a function that records its result."""
        for _ in range(CALLS_PER_PAGE):
            step = self._random.choices(
                [_get, _get_many, _set, _set_many, _delete, _add, _incr],
                [8, 3, 3, 1, 1, 1, 1],
            )[0]
            yield step(self._random.sample(self._keys, 2), self._values)

    def get_result(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "calls": self.calls,
            "failures": self.failures,
            "pages": self.pages,
        }

    def record(self, records: Records, began: float) -> None:
        ended = time.monotonic()
        self.history += [
            Operation(self._process, kind, key, value, began, ended)
            for kind, key, value in records
            if kind == "write" or value is not None
        ]


def _get(keys: list[str], values: Iterator[str]) -> Step:
    key, _ = keys
    return "get", (key,), lambda found: [("read", key, found)]


def _get_many(keys: list[str], values: Iterator[str]) -> Step:
    return "get_many", (keys,), lambda found: [("read", key, found[key]) for key in found]


def _set(keys: list[str], values: Iterator[str]) -> Step:
    key, value = keys[0], next(values)
    return "set", (key, value), lambda _: [("write", key, value)]


def _set_many(keys: list[str], values: Iterator[str]) -> Step:
    pairs = {key: next(values) for key in keys}
    return "set_many", (pairs,), lambda _: [("write", key, pairs[key]) for key in pairs]


def _delete(keys: list[str], values: Iterator[str]) -> Step:
    key, _ = keys
    return "delete", (key,), lambda _: [("write", key, None)]


def _add(keys: list[str], values: Iterator[str]) -> Step:
    key, value = keys[0], next(values)
    return "add", (key, value), lambda added: [("write", key, value)] if added else []


def _incr(keys: list[str], values: Iterator[str]) -> Step:
    return "incr", (f"counter:{keys[0]}",), lambda _: []


def work(cache: UpstashCache, recorder: Recorder, stopped: threading.Event) -> None:
    while not stopped.is_set():
        opened, started = cache.status.state == "open", time.monotonic()
        for method, arguments, records in recorder.draw_page():
            began = time.monotonic()
            try:
                recorder.record(records(getattr(cache, method)(*arguments)), began)
            except Exception as error:
                recorder.failures.append(repr(error))
            recorder.calls += 1
        recorder.pages.append((time.monotonic() - started, opened and cache.status.state == "open"))
        time.sleep(PAUSE)


async def awork(cache: AsyncUpstashCache, recorder: Recorder, stopped: threading.Event) -> None:
    while not stopped.is_set():
        opened, started = cache.status.state == "open", time.monotonic()
        for method, arguments, records in recorder.draw_page():
            began = time.monotonic()
            try:
                recorder.record(records(await getattr(cache, method)(*arguments)), began)
            except Exception as error:
                recorder.failures.append(repr(error))
            recorder.calls += 1
        recorder.pages.append((time.monotonic() - started, opened and cache.status.state == "open"))
        await asyncio.sleep(PAUSE)


async def _tasks(
    cache: AsyncUpstashCache, recorders: list[Recorder], stopped: threading.Event
) -> None:
    async with cache:
        await asyncio.gather(*(awork(cache, recorder, stopped) for recorder in recorders))


def main() -> None:
    settings = json.loads(sys.argv[1])
    client = settings["client"]
    recorders = [Recorder(settings["number"], number) for number in range(WORKERS)]
    stopped = threading.Event()
    cache: UpstashCache | AsyncUpstashCache
    if settings["api"] == "sync":
        cache = UpstashCache(**client)
        threads = [
            threading.Thread(target=work, args=(cache, recorder, stopped)) for recorder in recorders
        ]
    else:
        cache = AsyncUpstashCache(**client)
        threads = [threading.Thread(target=lambda: asyncio.run(_tasks(cache, recorders, stopped)))]
    stopper = threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()))
    for thread in (*threads, stopper):
        thread.start()
    while not stopped.wait(0.02):
        calls = sum(recorder.calls for recorder in recorders)
        sys.stdout.write(json.dumps({"state": cache.status.state, "calls": calls}) + "\n")
        sys.stdout.flush()
    for thread in threads:
        thread.join()
    if isinstance(cache, UpstashCache):
        cache.close()
    results = [recorder.get_result() for recorder in recorders]
    Path(settings["result"]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
