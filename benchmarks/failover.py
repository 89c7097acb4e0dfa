"""What the failover layer costs: CPU of a GET while all is well, and time of one while open.

    python -m benchmarks.failover

Well: CPU time of a GET by each transport (this process's, the server's is not in it), and what
the layer adds to it. The layer alone is measured around a primary that answers at once, since it
is smaller than the noise of a round trip. Open: a whole `cache.get`; it waits for nothing, so
its CPU time is its time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from statistics import median
from time import process_time
from typing import Any

import django

from continuum_upstash.codec import Codec
from continuum_upstash.config import Config, resolve
from continuum_upstash.effects import AsyncDriver, Batch, Driver, Replies, arun, run
from continuum_upstash.emulator.process import running
from continuum_upstash.flights import AsyncFlights, Flights
from continuum_upstash.operations import Operations
from continuum_upstash.transports.chain import achain, chain
from continuum_upstash.transports.failover import AsyncFailover, Failover
from continuum_upstash.transports.local import Local
from continuum_upstash.transports.standby import Standby

ROUNDS, GETS = 15, 300
QUICK_ROUNDS, QUICK_CALLS = 100, 2_000  # short ones: the best is one that nobody disturbed
CODEC = Codec()
PLANS = Operations(CODEC, alias="benchmark")


class AtOnce:
    """A primary that answers at once, in both colours."""

    name = "upstash-rest"

    def send(self, batch: Batch) -> Replies:
        return [b"1"] * len(batch.commands)

    async def asend(self, batch: Batch) -> Replies:
        return [b"1"] * len(batch.commands)

    def close(self) -> None:
        """There is nothing to close."""

    async def aclose(self) -> None:
        """There is nothing to close."""


def main() -> None:
    with running() as emulator:
        rest = {"REST_URL": emulator.rest_url, "TOKEN": emulator.token}
        layer, async_layer = layer_costs(), asyncio.run(async_layer_costs())
        print("While all is well, CPU\n\n| | GET, µs | of it failover, µs | |\n|---|---|---|---|")
        for name, options in {"REST": rest, "TCP": {"REDIS_URL": emulator.redis_url}}.items():
            config = resolve(options, {})
            tell(f"{name}, sync", get_cost(config), layer)
            tell(f"{name}, async", asyncio.run(async_get_cost(config)), async_layer)
        print("\nWhile open, time of `cache.get`\n\n| | µs |\n|---|---|")
        for name, seconds in open_costs(rest).items():
            print(f"| {name} | {seconds * 1e6:.2f} |")


def tell(name: str, get: float, layer: float) -> None:
    print(f"| {name} | {get * 1e6:.1f} | {layer * 1e6:.2f} | {layer / (get - layer):.1%} |")


def layer_costs() -> float:
    config = Config(mode="rest")
    primary, batch = AtOnce(), Batch((("GET", "k"),))
    failover = Failover(primary, Standby(config, Local(config)))

    def cost(send: Callable[[Batch], Replies]) -> float:
        started = process_time()
        for _ in range(QUICK_CALLS):
            send(batch)
        return (process_time() - started) / QUICK_CALLS

    with_it = min(cost(failover.send) for _ in range(QUICK_ROUNDS))
    return with_it - min(cost(primary.send) for _ in range(QUICK_ROUNDS))


async def async_layer_costs() -> float:
    config = Config(mode="rest")
    primary, batch = AtOnce(), Batch((("GET", "k"),))
    failover = AsyncFailover(primary, Standby(config, Local(config)))

    async def cost(asend: Callable[[Batch], Awaitable[Replies]]) -> float:
        started = process_time()
        for _ in range(QUICK_CALLS):
            await asend(batch)
        return (process_time() - started) / QUICK_CALLS

    with_it = min([await cost(failover.asend) for _ in range(QUICK_ROUNDS)])
    return with_it - min([await cost(primary.asend) for _ in range(QUICK_ROUNDS)])


def get_cost(config: Config) -> float:
    transport = chain(config, Standby(config, Local(config)), None)
    driver = Driver(transport.send, CODEC.encode, Flights().once)
    costs = []
    for _ in range(ROUNDS):
        started = process_time()
        for _ in range(GETS):
            run(PLANS.get("k"), driver)
        costs.append((process_time() - started) / GETS)
    transport.close()
    return median(costs)


async def async_get_cost(config: Config) -> float:
    transport = achain(config, Standby(config, Local(config)), None)
    driver = AsyncDriver(transport.asend, CODEC.encode, AsyncFlights().once)
    costs = []
    for _ in range(ROUNDS):
        started = process_time()
        for _ in range(GETS):
            await arun(PLANS.get("k"), driver)
        costs.append((process_time() - started) / GETS)
    await transport.aclose()
    return median(costs)


def open_costs(credentials: dict[str, str]) -> dict[str, float]:
    """Return seconds of a hit and a miss, by Django's backend and by the plain client."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from continuum_upstash.backend import CacheBackend

    cache: Any = CacheBackend(credentials["REST_URL"], {"OPTIONS": {"TOKEN": credentials["TOKEN"]}})
    cache.database.standby.breaker.force_open("benchmark")
    for each in (cache, cache.client):
        each.set("hit", "x" * 100)

    async def async_hit() -> float:
        started = process_time()
        for _ in range(QUICK_CALLS):
            await cache.aget("hit")
        return (process_time() - started) / QUICK_CALLS

    return {
        "Django, hit": fastest(lambda: cache.get("hit")),
        "Django, miss": fastest(lambda: cache.get("miss")),
        "Django, async, hit": min(asyncio.run(async_hit()) for _ in range(QUICK_ROUNDS)),
        "plain client, hit": fastest(lambda: cache.client.get("hit")),
    }


def fastest(call: Callable[[], object]) -> float:
    """Return seconds of a call in the best round: on a busy machine the others tell of others."""
    rounds = []
    for _ in range(QUICK_ROUNDS):
        started = process_time()
        for _ in range(QUICK_CALLS):
            call()
        rounds.append((process_time() - started) / QUICK_CALLS)
    return min(rounds)


if __name__ == "__main__":
    main()
