"""The tables. The first client of a table is its baseline."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.worker import CASES, CONCURRENT_TASKS, CONCURRENT_THREADS

SEQUENTIAL_CASES = tuple(CASES)


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        title: heading of the table.
        target: attribute of Servers with the URL, or "local".
        clients: label and import path of each client, the baseline first.
        cases: keys of worker.CASES, or "concurrent calls".
    """

    title: str
    target: str
    clients: tuple[tuple[str, str], ...]
    cases: tuple[str, ...] = SEQUENTIAL_CASES


REST = (
    ("bare socket", "benchmarks.clients.baselines.BareRest"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
    ("**UpstashCache**", "benchmarks.clients.continuum.PlainClient"),
    ("upstash-redis", "benchmarks.clients.peers.UpstashSdk"),
)
ASYNC = (
    ("**CacheBackend**, coalescing", "benchmarks.clients.continuum.AsyncBackend"),
    ("**CacheBackend**, COALESCE off", "benchmarks.clients.continuum.AsyncBackendUncoalesced"),
    ("upstash-redis asyncio", "benchmarks.clients.peers.AsyncUpstashSdk"),
)
TCP = (
    ("bare socket", "benchmarks.clients.baselines.BareTcp"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
    ("redis-py", "benchmarks.clients.peers.RedisPy"),
    ("django-redis", "benchmarks.clients.peers.DjangoRedis"),
    ("Django RedisCache", "benchmarks.clients.peers.DjangoRedisBackend"),
)
LOCAL = (
    ("LocMemCache", "benchmarks.clients.peers.LocMemCache"),
    ("**CacheBackend**, local", "benchmarks.clients.continuum.Backend"),
)

TABLES = {
    "rest": Table("REST over HTTPS, one call at a time", "https", REST),
    "rest-1ms": Table(
        "The same with 1 ms of network latency", "https_1ms", REST, ("GET 100 B", "get_many 100")
    ),
    "async": Table("REST over HTTPS, async, one call at a time", "https", ASYNC),
    "gather": Table(
        f"REST over HTTPS, {CONCURRENT_TASKS} concurrent tasks",
        "https",
        ASYNC,
        ("concurrent calls",),
    ),
    "threads": Table(
        f"REST over HTTPS, {CONCURRENT_THREADS} threads", "https", REST[1:], ("concurrent calls",)
    ),
    "tcp": Table("TCP, one call at a time", "redis", TCP),
    "local": Table("Local store", "local", LOCAL),
}
