"""Measures live pages: many readers of one channel on one process, under uvicorn.

    python -m benchmarks.channels [READERS] [EVENTS]

The database is the emulator, over REST. Memory is that of the server process; it does not include
the buffers of the system. Linux only: the figures come from /proc.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.conf import settings

from continuum_upstash.emulator.process import running
from continuum_upstash.federation import Channel

SERVE = "--serve"
REQUEST = (
    b"GET /api/realtime?channel=room HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Accept: text/event-stream\r\n\r\n"
)
TICKS = os.sysconf("SC_CLK_TCK")


def configure() -> None:
    from django.urls import include, path

    entry = {"BACKEND": "continuum_upstash.backend.CacheBackend"}
    routes = [path("api/", include("continuum_upstash.federation.urls"))]
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        CACHES={"default": entry, "federation": entry},
        CONTINUUM_LIVE={
            "CHANNELS": ["room"],
            "MAX_DURATION": 3600,
            "MAX_STREAMS": 100_000,
            "MAX_STREAMS_PER_ADDRESS": 100_000,
        },
        INSTALLED_APPS=["continuum_upstash"],
        ROOT_URLCONF=tuple(routes),
        SECRET_KEY="only-for-benchmarks",
    )
    django.setup()


def serve() -> None:
    import uvicorn
    from django.core.asgi import get_asgi_application

    config = uvicorn.Config(
        get_asgi_application(), port=0, lifespan="off", log_level="info", access_log=False
    )
    uvicorn.Server(config).run()


class Server:
    """The process that is measured."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.channels", SERVE], stderr=subprocess.PIPE, text=True
        )
        self._proc = Path(f"/proc/{self._process.pid}")
        assert self._process.stderr is not None
        line = next(line for line in self._process.stderr if "running on" in line)
        self.port = urlsplit(line.split()[-5]).port

    def get_megabytes(self) -> float:
        pages = int((self._proc / "statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def get_cpu_seconds(self) -> float:
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def count_threads(self) -> int:
        return len(list((self._proc / "task").iterdir()))

    def count_descriptors(self) -> int:
        return len(list((self._proc / "fd").iterdir()))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


async def open_reader(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await reader.readuntil(b'"connected"')
    return reader, writer


async def count_events(reader: asyncio.StreamReader, events: int) -> float:
    """Return when all events have arrived."""
    found = 0
    while found < events:
        found += (await reader.read(65536)).count(b'"event":"tick"')
    return time.perf_counter()


async def measure(server: Server, readers: int, events: int) -> dict[str, float]:
    warm = await open_reader(server.port)  # imports, the hub, the first request
    memory, descriptors = server.get_megabytes(), server.count_descriptors()
    cpu = server.get_cpu_seconds()
    pages = []
    for start in range(0, readers, 50):
        count = min(50, readers - start)
        pages += await asyncio.gather(*(open_reader(server.port) for _ in range(count)))
    figures = {
        "memory per reader, KB": (server.get_megabytes() - memory) / readers * 1000,
        "CPU per connect, ms": (server.get_cpu_seconds() - cpu) / readers * 1000,
    }
    figures["threads"] = server.count_threads()
    cpu = server.get_cpu_seconds()
    await asyncio.sleep(5)
    figures["idle CPU, % of a core"] = (server.get_cpu_seconds() - cpu) / 5 * 100
    channel, delays = Channel("room"), []
    cpu = server.get_cpu_seconds()
    for number in range(events):
        waiting = [asyncio.create_task(count_events(reader, 1)) for reader, _ in pages]
        await asyncio.sleep(0)
        started = time.perf_counter()
        await channel.apublish("tick", {"number": number, "text": "x" * 200})
        delays.append(max(await asyncio.gather(*waiting)) - started)
    figures["CPU per event, ms"] = (server.get_cpu_seconds() - cpu) / events * 1000
    figures["CPU per event and reader, µs"] = figures["CPU per event, ms"] / readers * 1000
    figures["until the last reader has it, ms (median)"] = sorted(delays)[events // 2] * 1000
    figures["memory per reader after the events, KB"] = (
        (server.get_megabytes() - memory) / readers * 1000
    )
    for _, writer in pages:
        writer.transport.abort()
    for _ in range(200):
        await asyncio.sleep(0.05)
        if server.count_descriptors() <= descriptors:
            break
    figures["descriptors left"] = server.count_descriptors() - descriptors
    warm[1].transport.abort()
    return figures


def main() -> None:
    if SERVE in sys.argv:
        configure()
        serve()
        return
    readers = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    events = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    with running() as emulator:
        os.environ |= {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        }
        configure()
        server = Server()
        try:
            with emulator.count() as usage:
                figures = asyncio.run(measure(server, readers, events))
        finally:
            server.stop()
    print(f"| {readers:,} readers, {events} events | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:,.1f} |")
    print(f"| billed commands | {usage.billed} |")


if __name__ == "__main__":
    main()
