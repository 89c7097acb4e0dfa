"""Measures failover: its CPU time per GET while the circuit breaker is closed and while it is open.

    python -m benchmarks.failover

Closed: the CPU time of a GET over each transport (of this process, without the server's), and the
share of failover in it. Failover is measured alone, around a transport that returns immediately,
because its time is smaller than the noise of a round trip. Open: a whole `cache.get`. It does not
wait, so its CPU time equals its elapsed time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from statistics import median
from time import process_time
from typing import Any

import django

from continuum_upstash.codec.codec import Codec
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.emulator.process import running
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.factory import build_async_transport, build_transport
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import (
    AsyncFailoverTransport,
    FailoverTransport,
)
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.singleflight import AsyncSingleFlightGroup, SingleFlightGroup

ROUNDS, GETS = 15, 300
QUICK_ROUNDS, QUICK_CALLS = 100, 2_000  # short: other processes do not disturb the best one
CODEC = Codec()
PLANS = KeyValuePlans(CODEC, alias="benchmark")


class InstantTransport:
    """A transport that returns immediately, sync and async."""

    name = "upstash-rest"

    def send(self, batch: Batch) -> Replies:
        return [b"1"] * len(batch.commands)

    async def asend(self, batch: Batch) -> Replies:
        return [b"1"] * len(batch.commands)

    def close(self) -> None:
        """Do nothing: there is no connection."""

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


def main() -> None:
    with running() as emulator:
        rest = {"REST_URL": emulator.rest_url, "TOKEN": emulator.token}
        failover, async_failover = measure_failover(), asyncio.run(measure_async_failover())
        print("Circuit breaker closed, CPU time\n")
        print("| | GET, µs | failover, µs | failover, % |\n|---|---|---|---|")
        for name, options in {"REST": rest, "TCP": {"REDIS_URL": emulator.redis_url}}.items():
            config = resolve(options, {})
            print_row(f"{name}, sync", measure_get(config), failover)
            print_row(f"{name}, async", asyncio.run(measure_async_get(config)), async_failover)
        print("\nCircuit breaker open, time of `cache.get`\n\n| | µs |\n|---|---|")
        for name, seconds in measure_while_open(rest).items():
            print(f"| {name} | {seconds * 1e6:.2f} |")


def print_row(name: str, get: float, failover: float) -> None:
    share = failover / (get - failover)
    print(f"| {name} | {get * 1e6:.1f} | {failover * 1e6:.2f} | {share:.1%} |")


def measure_failover() -> float:
    config = Config(mode="rest")
    primary, batch = InstantTransport(), Batch((("GET", "k"),))
    failover = FailoverTransport(primary, FailoverPolicy(config, LocalTransport(config)))

    def measure_send(send: Callable[[Batch], Replies]) -> float:
        started = process_time()
        for _ in range(QUICK_CALLS):
            send(batch)
        return (process_time() - started) / QUICK_CALLS

    with_failover = min(measure_send(failover.send) for _ in range(QUICK_ROUNDS))
    return with_failover - min(measure_send(primary.send) for _ in range(QUICK_ROUNDS))


async def measure_async_failover() -> float:
    config = Config(mode="rest")
    primary, batch = InstantTransport(), Batch((("GET", "k"),))
    failover = AsyncFailoverTransport(primary, FailoverPolicy(config, LocalTransport(config)))

    async def measure_send(asend: Callable[[Batch], Awaitable[Replies]]) -> float:
        started = process_time()
        for _ in range(QUICK_CALLS):
            await asend(batch)
        return (process_time() - started) / QUICK_CALLS

    with_failover = min([await measure_send(failover.asend) for _ in range(QUICK_ROUNDS)])
    return with_failover - min([await measure_send(primary.asend) for _ in range(QUICK_ROUNDS)])


def measure_get(config: Config) -> float:
    transport = build_transport(config, FailoverPolicy(config, LocalTransport(config)), None)
    runner = Runner(transport.send, CODEC.encode, SingleFlightGroup().run)
    seconds = []
    for _ in range(ROUNDS):
        started = process_time()
        for _ in range(GETS):
            run(PLANS.get("k"), runner)
        seconds.append((process_time() - started) / GETS)
    transport.close()
    return median(seconds)


async def measure_async_get(config: Config) -> float:
    transport = build_async_transport(config, FailoverPolicy(config, LocalTransport(config)), None)
    runner = AsyncRunner(
        transport.asend, CODEC.encode, AsyncSingleFlightGroup(asyncio.get_running_loop()).run
    )
    seconds = []
    for _ in range(ROUNDS):
        started = process_time()
        for _ in range(GETS):
            await arun(PLANS.get("k"), runner)
        seconds.append((process_time() - started) / GETS)
    await transport.aclose()
    return median(seconds)


def measure_while_open(credentials: dict[str, str]) -> dict[str, float]:
    """Return the seconds of a hit and of a miss, with the Django backend and the plain client."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from continuum_upstash.backend import CacheBackend

    cache: Any = CacheBackend(credentials["REST_URL"], {"OPTIONS": {"TOKEN": credentials["TOKEN"]}})
    cache.database.failover.breaker.force_open("benchmark")
    for client in (cache, cache.client):
        client.set("hit", "x" * 100)

    async def measure_async_hit() -> float:
        started = process_time()
        for _ in range(QUICK_CALLS):
            await cache.aget("hit")
        return (process_time() - started) / QUICK_CALLS

    return {
        "Django, hit": measure_best(lambda: cache.get("hit")),
        "Django, miss": measure_best(lambda: cache.get("miss")),
        "Django, async, hit": min(asyncio.run(measure_async_hit()) for _ in range(QUICK_ROUNDS)),
        "plain client, hit": measure_best(lambda: cache.client.get("hit")),
    }


def measure_best(call: Callable[[], object]) -> float:
    """Return the seconds per call of the best round, the least disturbed by other processes."""
    rounds = []
    for _ in range(QUICK_ROUNDS):
        started = process_time()
        for _ in range(QUICK_CALLS):
            call()
        rounds.append((process_time() - started) / QUICK_CALLS)
    return min(rounds)


if __name__ == "__main__":
    main()
