"""Clients that request a page all the time, and what the server's processes hold."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import RemoteDisconnected
from itertools import count
from pathlib import Path

from tests.deploy.conftest import Site
from tests.waiting import wait_until

CLIENTS = 8
REPEATS = 3


class SiteLoad:
    """Requests from eight threads, each over a new connection and from a client address of its own.

    Attributes:
        statuses: of all responses.
        repeated: how many requests were sent again, as a proxy does it: the connection was closed
            before the first byte of a response, because its worker ended.
        seconds: how long each request took.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._numbers = count()
        self._is_running = True
        self.statuses: Counter[int] = Counter()
        self.repeated = 0
        self.errors: list[Exception] = []
        self.seconds: list[float] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until the time is over and all clients have received responses meanwhile."""
        deadline, target = time.monotonic() + seconds, len(self.seconds) + 3 * CLIENTS
        wait_until(
            lambda: self.errors or (time.monotonic() > deadline and len(self.seconds) > target),
            seconds=seconds + 20,
        )

    def stop(self) -> None:
        self._is_running = False
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while self._is_running:
            number = next(self._numbers)
            started = time.monotonic()
            try:
                status = self._request_with_repeats(number)
            except Exception as error:
                self.errors.append(error)
                return
            self.statuses[status] += 1
            self.seconds.append(time.monotonic() - started)

    def _request_with_repeats(self, number: int) -> int:
        for _ in range(REPEATS):
            try:
                return self._request(number)
            except (RemoteDisconnected, ConnectionResetError):
                self.repeated += 1
                time.sleep(0.05)
        return self._request(number)

    def _request(self, number: int) -> int:
        connection = self._site.connect(timeout=20)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        try:
            headers = {"Host": "localhost", "X-Forwarded-For": address, "Connection": "close"}
            connection.request("GET", "/api/visits/", headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


def format_row(name: str, load: SiteLoad, before: Holdings, after: Holdings) -> str:
    """A row of a Markdown table; the last columns are those of an idle server."""
    p50, p99 = (sorted(load.seconds)[len(load.seconds) * part // 100] for part in (50, 99))
    return (
        f"| {name} | {len(load.seconds)} | {len(load.errors)} | {load.repeated} "
        f"| {p50 * 1000:.0f} ms | {p99 * 1000:.0f} ms "
        f"| {before.sockets} / {after.sockets} | {before.threads} / {after.threads} |"
    )


@dataclass(frozen=True)
class Holdings:
    """What all processes of a server hold."""

    processes: frozenset[int]
    threads: int
    sockets: int


def read_links(folder: Path) -> Iterator[str]:
    for link in folder.iterdir():
        with suppress(OSError):  # closed meanwhile, as connections are under load
            yield str(link.readlink())


def measure(process_group: int) -> Holdings:
    processes, threads, sockets = set(), 0, set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # it ended meanwhile
            if os.getpgid(int(folder.name)) != process_group:
                continue
            links = [*read_links(folder / "fd")]
            threads += len([*(folder / "task").iterdir()])
            processes.add(int(folder.name))
            sockets |= {link for link in links if link.startswith("socket:")}
    return Holdings(frozenset(processes), threads, len(sockets))
