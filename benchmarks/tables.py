"""The tables of calls. The first client of a table is its baseline."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report.summary import Column
from benchmarks.worker import CASES, REQUESTS, TASKS, THREADS

CPU_UNIT = "CPU µs per call"
SEQUENTIAL_CASES = tuple(CASES)
PLOTTED_CASES = ("GET 100 B", "SET 100 B", "GET 1 MB", "get_many 100", "set_many 100")


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        title: heading of the table.
        target: attribute of Servers with the URL, or "local".
        clients: label and import path of each client, the baseline first.
        cases: keys of worker.CASES, THREADS, TASKS or REQUESTS.
        metrics: for each case, one column for each of "cpu" (µs per call), "ms" (elapsed, per call)
            and "rate" (calls per second).
        plotted: the titles of the columns in the plot.
    """

    title: str
    target: str
    clients: tuple[tuple[str, str], ...]
    cases: tuple[str, ...] = SEQUENTIAL_CASES
    metrics: tuple[str, ...] = ("cpu",)
    plotted: tuple[str, ...] = ()

    def list_columns(self) -> list[tuple[Column, str, str]]:
        """Return each column with its case and metric."""
        names = {"cpu": "", "ms": ", ms", "rate": ", calls/s"}
        units = {"cpu": CPU_UNIT}
        return [
            (Column(f"{case}{names[metric]}", units.get(metric, "")), case, metric)
            for case in self.cases
            for metric in self.metrics
        ]


REST = (
    ("bare socket", "benchmarks.clients.baselines.BareRest"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
    ("**UpstashCache**", "benchmarks.clients.continuum.PlainClient"),
    ("upstash-redis", "benchmarks.clients.peers.UpstashSdk"),
)
ASYNC = (
    ("**CacheBackend**", "benchmarks.clients.continuum.AsyncBackend"),
    ("**CacheBackend**, COALESCE off", "benchmarks.clients.continuum.AsyncBackendUncoalesced"),
    ("upstash-redis asyncio", "benchmarks.clients.peers.AsyncUpstashSdk"),
)
TLS = (
    ("bare socket", "benchmarks.clients.baselines.BareTcp"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
    ("redis-py", "benchmarks.clients.peers.RedisPy"),
    ("django-redis", "benchmarks.clients.peers.DjangoRedis"),
    ("Django RedisCache", "benchmarks.clients.peers.DjangoRedisCache"),
    ("django-valkey", "benchmarks.clients.peers.DjangoValkey"),
)
TCP = (*TLS, ("django-vcache", "benchmarks.clients.peers.DjangoVcache"))
ASYNC_TCP = (
    ("**CacheBackend**", "benchmarks.clients.continuum.AsyncBackend"),
    ("redis-py asyncio", "benchmarks.clients.peers.AsyncRedisPy"),
    ("django-redis", "benchmarks.clients.peers.AsyncDjangoRedis"),
    ("Django RedisCache", "benchmarks.clients.peers.AsyncDjangoRedisCache"),
    ("django-valkey", "benchmarks.clients.peers.AsyncDjangoValkey"),
    ("django-vcache", "benchmarks.clients.peers.AsyncDjangoVcache"),
    ("acache", "benchmarks.clients.peers.AsyncAcache"),
)
SITES = (
    ("**continuum-upstash**", "benchmarks.clients.requests.Continuum"),
    ("django-redis", "benchmarks.clients.requests.DjangoRedis"),
    ("Django RedisCache", "benchmarks.clients.requests.DjangoRedisCache"),
    ("django-valkey", "benchmarks.clients.requests.DjangoValkey"),
    ("django-vcache", "benchmarks.clients.requests.DjangoVcache"),
    ("acache", "benchmarks.clients.requests.Acache"),
)
NEAR = (
    ("LocMemCache", "benchmarks.clients.peers.LocMemCache"),
    ("**CacheBackend**, near cache", "benchmarks.clients.continuum.NearBackend"),
    ("**CacheBackend**", "benchmarks.clients.continuum.Backend"),
)
GET_OR_SET = (
    ("**CacheBackend**", "benchmarks.clients.continuum.GetOrSet"),
    ("**CacheBackend**, early and grace", "benchmarks.clients.continuum.GetOrSetProtected"),
    ("**CacheBackend**, one tag", "benchmarks.clients.continuum.GetOrSetTagged"),
    ("django-redis", "benchmarks.clients.continuum.DjangoRedisGetOrSet"),
)
LOCAL = (
    ("LocMemCache", "benchmarks.clients.peers.LocMemCache"),
    ("**CacheBackend**, local", "benchmarks.clients.continuum.Backend"),
)

TABLES = {
    "rest": Table("REST over TLS, one call at a time", "https", REST, plotted=PLOTTED_CASES),
    "rest-1ms": Table(
        "REST over TLS with 1 ms of network latency",
        "https_1ms",
        REST,
        ("GET 100 B", "SET 100 B", "get_many 100"),
        ("cpu", "ms"),
    ),
    "async": Table("REST over TLS, async, one call at a time", "https", ASYNC),
    "tasks": Table(
        "REST over TLS, concurrent tasks, one GET of 100 B each",
        "https",
        ASYNC,
        tuple(TASKS),
        ("cpu", "rate"),
    ),
    "threads": Table(
        "REST over TLS, threads, each with GETs of 100 B",
        "https",
        REST[1:],
        tuple(THREADS),
        ("cpu", "rate"),
    ),
    "tcp": Table("TCP, one call at a time", "redis", TCP, plotted=PLOTTED_CASES),
    "tcp-tls": Table("TCP over TLS, one call at a time", "redis_tls", TLS, PLOTTED_CASES),
    "tcp-async": Table("TCP, async, one call at a time", "redis", ASYNC_TCP, PLOTTED_CASES),
    "tcp-tasks": Table(
        "TCP, concurrent tasks, one GET of 100 B each",
        "redis",
        ASYNC_TCP,
        tuple(TASKS),
        ("cpu", "rate"),
    ),
    "tcp-threads": Table(
        "TCP, threads, each with GETs of 100 B", "redis", TCP[1:], tuple(THREADS), ("cpu", "rate")
    ),
    "requests": Table(
        "100 concurrent requests, each with its own backend instance and 10 operations over TCP",
        "redis",
        SITES,
        tuple(REQUESTS),
        ("cpu", "rate"),
        plotted=("100 requests, calls/s",),
    ),
    "get-or-set": Table(
        "get_or_set over TCP, hits", "redis", GET_OR_SET, ("GET 100 B", "GET 10 KB")
    ),
    "near": Table(
        "Near cache over TCP, hits", "redis", NEAR, ("GET 100 B", "GET 10 KB", "get_many 100")
    ),
    "local": Table("Local store", "local", LOCAL),
}
