"""Measures sites under load: ASGI on uvicorn and WSGI on gunicorn, one process each.

A site has one core; the load and the database have the other. The sites are loaded in turns.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.report.progress import Progress
from benchmarks.report.summary import Column, Report, compute_percentile
from benchmarks.runner import Effort
from benchmarks.servers import (
    Servers,
    find_free_ports,
    make_pinned_command,
    wait_until_listening,
)

RATE, CPU, P99, MEMORY = "requests/s", "CPU µs per request", "p99, ms", "memory, MB"
COLUMNS = tuple(map(Column, (RATE, CPU, P99, MEMORY)))
LOAD_TIMES = 6  # times the usual length of one measurement
CONTINUUM = "**continuum-upstash**"
DJANGO_VCACHE = "django_vcache.backend.ValkeyCache"
ASGI_BACKENDS = {
    CONTINUUM: "continuum_upstash.backend.CacheBackend",
    "django-redis": "django_redis.cache.RedisCache",
    "Django RedisCache": "django.core.cache.backends.redis.RedisCache",
    "django-valkey": "django_valkey.async_cache.cache.AsyncValkeyCache",
    "django-vcache": DJANGO_VCACHE,
    "acache": "action0.django_acache.RedisCache",
}
WSGI_BACKENDS = {
    CONTINUUM: "continuum_upstash.backend.CacheBackend",
    "django-redis": "django_redis.cache.RedisCache",
    "Django RedisCache": "django.core.cache.backends.redis.RedisCache",
    "django-valkey": "django_valkey.cache.ValkeyCache",
    "django-vcache": DJANGO_VCACHE,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """
    Attributes:
        name, title: of the table.
        backends: the path of the cache backend, by row.
        server: the arguments of Python that start the server, without the port.
        page: the path of the page.
        connections: the number of concurrent connections.
    """

    name: str
    title: str
    backends: dict[str, str]
    server: tuple[str, ...]
    page: str
    connections: int


ASGI = Kind(
    "asgi",
    "An ASGI site on uvicorn, 100 connections, 10 operations over TCP in each request",
    ASGI_BACKENDS,
    (
        *("-m", "uvicorn", "benchmarks.sites.site:asgi", "--no-access-log", "--lifespan=off"),
        *("--log-level=warning", "--port"),
    ),
    "/async",
    100,
)
WSGI = Kind(
    "gunicorn",
    "A WSGI site on gunicorn, 8 threads, 32 connections, 10 operations over TCP in each request",
    WSGI_BACKENDS,
    (
        *("-m", "gunicorn", "benchmarks.sites.site:wsgi", "--log-level=error"),
        *("--worker-class=gthread", "--threads=8", "--keep-alive=60", "--bind"),
    ),
    "/sync",
    32,
)


class Site:
    """A running site."""

    def __init__(self, kind: Kind, backend: str, url: str) -> None:
        self.kind = kind
        (self.port,) = find_free_ports(1)
        caches = {"default": {"BACKEND": backend, "LOCATION": url}}
        address = str(self.port) if kind is ASGI else f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            make_pinned_command(0, sys.executable, *kind.server, address),
            env=os.environ | {"BENCHMARK_CACHES": json.dumps(caches)},
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def load(self, seconds: float) -> dict[str, float]:
        """Return the figures of the columns.

        Raises:
            RuntimeError: a request failed.
        """
        before = self.read_usage()
        arguments = (self.port, self.kind.page, self.kind.connections, seconds)
        command = [sys.executable, "-m", "benchmarks.sites.load", *map(str, arguments)]
        run = subprocess.run(
            make_pinned_command(1, *command), capture_output=True, check=True, timeout=60
        )
        result, after = json.loads(run.stdout), self.read_usage()
        if result["failures"]:
            raise RuntimeError(f"{result['failures']} requests failed")
        count = len(result["seconds"])
        return {
            RATE: count / result["elapsed"],
            CPU: (after["cpu"] - before["cpu"]) / count * 1e6,
            P99: compute_percentile(result["seconds"], 99) * 1e3,
            MEMORY: after["memory"],
        }

    def read_usage(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.port}/usage"
        with urllib.request.urlopen(url, timeout=60) as response:
            return json.load(response)


def measure_asgi(servers: Servers, effort: Effort, progress: Progress) -> Report:
    return measure(ASGI, servers, effort, progress)


def measure_wsgi(servers: Servers, effort: Effort, progress: Progress) -> Report:
    return measure(WSGI, servers, effort, progress)


def measure(kind: Kind, servers: Servers, effort: Effort, progress: Progress) -> Report:
    """
    Raises:
        SystemExit: the site with this package failed.
    """
    started = time.monotonic()
    report = Report(
        name=kind.name,
        title=kind.title,
        corner="backend",
        columns=COLUMNS,
        labels=tuple(kind.backends),
        samples={column.title: {label: [] for label in kind.backends} for column in COLUMNS},
        plotted=(RATE,),
    )
    with ExitStack() as stack:
        sites = start_sites(stack, kind, servers, report, progress)
        shuffle = random.Random(1).shuffle
        for number in effort.iterate_rounds(started):
            shuffle(sites)
            for label, site in sites:
                progress.show(f"{kind.name}: round {number} of {effort.rounds}, {label}")
                figures = site.load(effort.seconds * LOAD_TIMES)
                for title, figure in figures.items():
                    report.samples[title][label].append(figure)
    return report


def start_sites(
    stack: ExitStack, kind: Kind, servers: Servers, report: Report, progress: Progress
) -> list[tuple[str, Site]]:
    """Start the sites and load each for a moment; note in the report why one does not work."""
    sites = []
    for label, backend in kind.backends.items():
        progress.show(f"{kind.name}: starting {label}")
        try:
            site = start_site(stack, kind, backend, servers)
        except (RuntimeError, ModuleNotFoundError) as error:
            if label == CONTINUUM:
                sys.exit(f"{label}: {error}")
            report.skipped[label] = str(error)
        else:
            sites.append((label, site))
    return sites


def start_site(stack: ExitStack, kind: Kind, backend: str, servers: Servers) -> Site:
    package = backend.partition(".")[0]
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    site = Site(kind, backend, servers.redis)
    stack.callback(site.stop)
    wait_until_listening(site.port, site.process)
    site.load(0.1)
    return site
