"""A process of a site: threads, or tasks, that make pages out of cache calls and keep account.

    python -m tests.outage.worker '{"number": 1, "api": "sync", "result": …, "client": {…}}'

It prints its state and count of calls as they change, and ends with its standard input; then its
results are in the file `result`.
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
CALLS_OF_A_PAGE = 10
PAUSE = 0.02
SHARED_KEYS = [f"shared:{number}" for number in range(40)]

Notes = list[tuple[str, str, str | None]]
Step = tuple[str, tuple[Any, ...], Callable[[Any], Notes]]


class Account:
    """What one thread or task did.

    Attributes:
        calls: how many cache calls.
        failures: the errors of those that raised one.
        pages: seconds that each page took, and whether the database was given up meanwhile.
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

    def page(self) -> Iterator[Step]:
        """Yield calls: a method, its arguments, and what to note of its result."""
        for _ in range(CALLS_OF_A_PAGE):
            step = self._random.choices(
                [_get, _get_many, _set, _set_many, _delete, _add, _incr],
                [8, 3, 3, 1, 1, 1, 1],
            )[0]
            yield step(self._random.sample(self._keys, 2), self._values)

    def result(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "calls": self.calls,
            "failures": self.failures,
            "pages": self.pages,
        }

    def note(self, notes: Notes, began: float) -> None:
        ended = time.monotonic()
        self.history += [
            Operation(self._process, kind, key, value, began, ended)
            for kind, key, value in notes
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


def work(cache: UpstashCache, account: Account, stopped: threading.Event) -> None:
    while not stopped.is_set():
        opened, started = cache.status.state == "open", time.monotonic()
        for method, arguments, notes in account.page():
            began = time.monotonic()
            try:
                account.note(notes(getattr(cache, method)(*arguments)), began)
            except Exception as error:
                account.failures.append(repr(error))
            account.calls += 1
        account.pages.append((time.monotonic() - started, opened and cache.status.state == "open"))
        time.sleep(PAUSE)


async def awork(cache: AsyncUpstashCache, account: Account, stopped: threading.Event) -> None:
    while not stopped.is_set():
        opened, started = cache.status.state == "open", time.monotonic()
        for method, arguments, notes in account.page():
            began = time.monotonic()
            try:
                account.note(notes(await getattr(cache, method)(*arguments)), began)
            except Exception as error:
                account.failures.append(repr(error))
            account.calls += 1
        account.pages.append((time.monotonic() - started, opened and cache.status.state == "open"))
        await asyncio.sleep(PAUSE)


async def _tasks(
    cache: AsyncUpstashCache, accounts: list[Account], stopped: threading.Event
) -> None:
    async with cache:
        await asyncio.gather(*(awork(cache, account, stopped) for account in accounts))


def main() -> None:
    settings = json.loads(sys.argv[1])
    client = settings["client"]
    accounts = [Account(settings["number"], number) for number in range(WORKERS)]
    stopped = threading.Event()
    cache: UpstashCache | AsyncUpstashCache
    if settings["api"] == "sync":
        cache = UpstashCache(**client)
        threads = [
            threading.Thread(target=work, args=(cache, account, stopped)) for account in accounts
        ]
    else:
        cache = AsyncUpstashCache(**client)
        threads = [threading.Thread(target=lambda: asyncio.run(_tasks(cache, accounts, stopped)))]
    ending = threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()))
    for thread in (*threads, ending):
        thread.start()
    while not stopped.wait(0.02):
        calls = sum(account.calls for account in accounts)
        sys.stdout.write(json.dumps({"state": cache.status.state, "calls": calls}) + "\n")
        sys.stdout.flush()
    for thread in threads:
        thread.join()
    if isinstance(cache, UpstashCache):
        cache.close()
    results = [account.result() for account in accounts]
    Path(settings["result"]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
