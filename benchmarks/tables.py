"""What is compared with what: the first stack of a table is its floor."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.worker import AT_ONCE, CASES, THREADS

SINGLE = tuple(CASES)


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        title: what it shows.
        target: the server, by the name that Servers has for it.
        stacks: label and class, the floor first.
        cases: of worker.CASES, or "concurrent calls".
    """

    title: str
    target: str
    stacks: tuple[tuple[str, str], ...]
    cases: tuple[str, ...] = SINGLE


REST = (
    ("bare socket", "benchmarks.clients.baselines.BareRest"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
    ("**UpstashCache**", "benchmarks.clients.continuum.Client"),
    ("upstash-redis", "benchmarks.clients.peers.Sdk"),
)
ASYNC = (
    ("**CacheBackend**, coalescing", "benchmarks.clients.continuum.AsyncBackend"),
    ("**CacheBackend**, COALESCE off", "benchmarks.clients.continuum.AsyncBackendSingly"),
    ("upstash-redis asyncio", "benchmarks.clients.peers.AsyncSdk"),
)
TCP = (
    ("bare socket", "benchmarks.clients.baselines.BareTcp"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
    ("redis-py", "benchmarks.clients.peers.RedisPy"),
    ("django-redis", "benchmarks.clients.peers.DjangoRedis"),
    ("Django RedisCache", "benchmarks.clients.peers.DjangoRedisCache"),
)
LOCAL = (
    ("LocMemCache", "benchmarks.clients.peers.LocMem"),
    ("**CacheBackend**, local", "benchmarks.clients.continuum.Backend"),
)

TABLES = {
    "rest": Table("REST over HTTPS, one call at a time", "https", REST),
    "rest-1ms": Table(
        "The same with 1 ms of network latency", "https_1ms", REST, ("GET 100 B", "get_many 100")
    ),
    "async": Table("REST over HTTPS, async, one call at a time", "https", ASYNC),
    "gather": Table(
        f"REST over HTTPS, {AT_ONCE} concurrent tasks", "https", ASYNC, ("concurrent calls",)
    ),
    "threads": Table(
        f"REST over HTTPS, {THREADS} threads", "https", REST[1:], ("concurrent calls",)
    ),
    "tcp": Table("TCP, one call at a time", "redis", TCP),
    "local": Table("Local store", "local", LOCAL),
}
