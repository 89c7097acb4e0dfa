"""Measures the requests of one stage of the tutorial, in the folder of its project.

    python -m benchmarks.tutorial_requests STAGE ROUNDS ADDRESSES

`benchmarks.tutorial` starts it with the addresses of its emulator. It prints its rows as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import django
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from continuum_upstash.emulator.emulator_options import Addresses
from continuum_upstash.emulator.process import Emulator

PROCESSES = 4


class Site:
    """The site of a stage, with the rows that were measured."""

    def __init__(self, emulator: Emulator, rounds: int) -> None:
        self.emulator = emulator
        self.rounds = rounds
        self.visitor = Client(SERVER_NAME="localhost")
        self.rows: list[tuple[str, int, float, int, int]] = []

    def measure(
        self,
        title: str,
        request: Callable[[], Any],
        prepare: Callable[[], Any] = lambda: None,
        status: int = 200,
        rounds: int | None = None,
    ) -> None:
        """Add a row: the shortest time of all rounds, and the counts of the last one."""
        times, queries, billed = [], 0, 0
        for _ in range(rounds or self.rounds):
            prepare()
            with self.emulator.count() as usage, CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                response = request()
                times.append((time.perf_counter() - began) * 1000)
            queries, billed = len(captured), usage.billed
            assert response.status_code == status, (title, response.status_code)
        self.rows.append((title, status, min(times), queries, billed))

    def get(self) -> Any:
        return self.visitor.get("/")

    def add(self) -> Any:
        return self.visitor.post("/add/1/")

    def measure_rush(self, title: str) -> None:
        """Add a row: several processes request the page at the same moment."""
        connections.close_all()
        context = multiprocessing.get_context("fork")
        gate = context.Barrier(PROCESSES)
        with (
            context.Pool(PROCESSES, _set_gate, (gate,)) as pool,
            self.emulator.count() as usage,
        ):
            results = pool.starmap(_request_page, [()] * PROCESSES, chunksize=1)
        times, queries = zip(*results, strict=True)
        self.rows.append((title, 200, max(times), sum(queries), usage.billed))


def _set_gate(gate: Any) -> None:
    globals()["_gate"] = gate


def _request_page() -> tuple[float, int]:
    globals()["_gate"].wait()
    with CaptureQueriesContext(connection) as captured:
        began = time.perf_counter()
        response = Client(SERVER_NAME="localhost").get("/")
        elapsed = (time.perf_counter() - began) * 1000
    assert response.status_code == 200
    return elapsed, len(captured)


def measure_plain_page(site: Site) -> None:
    site.measure("each request", site.get)


def measure_cached_result(site: Site) -> None:
    site.measure("first request", site.get, site.emulator.flush)
    site.measure("next request", site.get)


def measure_tagged_result(site: Site) -> None:
    from shop.models import Order

    def order() -> None:
        Order.objects.create(product_id=1, day=date(2026, 8, 1), units=1)

    measure_cached_result(site)
    site.measure("first request after an order", site.get, order)
    site.visitor.get("/feed.json")
    site.measure("`feed.json`, next request", lambda: site.visitor.get("/feed.json"))


def measure_rush(site: Site) -> None:
    from django.core.cache import cache
    from shop import views

    from continuum_upstash.decorators import cached

    protected = views.load_bestsellers
    views.load_bestsellers = cached(timeout=300, key="bestsellers:", tags=("orders",))(
        views.compute_bestsellers
    )
    site.measure_rush("four processes, without the options")
    cache.clear()
    views.load_bestsellers = protected
    site.measure_rush("four processes, with the options")
    site.measure("next request", site.get)


def measure_sessions(site: Site) -> None:
    site.get()
    site.measure("page, visitor without a session", site.get)
    site.measure("first product in the basket", site.add, site.visitor.cookies.clear, 302)
    site.measure("next product in the basket", site.add, status=302)
    site.measure("page, visitor with a session", site.get)


def measure_limit(site: Site) -> None:
    site.get()
    site.add()
    site.measure("next product in the basket", site.add, status=302, rounds=4)
    site.measure("sixth product within a minute, status 429", site.add, status=429)
    site.measure("page, visitor with a session", site.get)


def measure_outage(site: Site) -> None:
    site.get()
    with site.emulator.fault("refuse"):
        site.measure("page, first request of the outage", site.get, rounds=1)
        for _ in range(3):
            site.get()
        site.measure("page, next request", site.get)
        site.visitor.cookies["sessionid"] = "x" * 32
        site.measure("page, visitor with a session, status 503", site.get, status=503)


def measure_near_cache(site: Site) -> None:
    site.get()
    site.get()  # reads the value that the first request stored, and keeps a copy
    site.measure("page, visitor without a session", site.get)
    site.add()
    site.measure("page, visitor with a session", site.get)


MEASURES = (
    measure_plain_page,
    measure_cached_result,
    measure_tagged_result,
    measure_rush,
    measure_sessions,
    measure_limit,
    measure_outage,
    measure_near_cache,
)


def main() -> None:
    stage, rounds, line = sys.argv[1:]
    django.setup()
    site = Site(Emulator(Addresses.parse(line), process=None), int(rounds))
    MEASURES[int(stage) - 1](site)
    sys.stdout.write(json.dumps(site.rows))


if __name__ == "__main__":
    main()
