"""A process that uses a cache with a budget as fast as it can, in several threads or tasks.

It reads its options as one JSON object from stdin, prints "ready", starts at the line "go", and
goes on for some calls after the budget is used up. It prints the stage that it reached.
"""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import django
from django.conf import settings
from django.core.cache import cache

WORKERS = 4
CALLS_AFTERWARDS = 50


def main():
    load = json.loads(sys.stdin.readline())
    options = {"READ_TIMEOUT": 20.0, "CONNECT_TIMEOUT": 20.0, "BUDGET": load["budget"]}
    if load["token"]:
        options["TOKEN"] = load["token"]
    settings.configure(
        SECRET_KEY="only-for-tests",
        INSTALLED_APPS=["continuum_upstash"],
        CACHES={
            "default": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "LOCATION": load["url"],
                "OPTIONS": options,
            }
        },
    )
    django.setup()
    cache.client.ping()
    write_line("ready")
    sys.stdin.readline()
    if load["api"] == "async":
        asyncio.run(run_tasks())
    else:
        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(call_until_restricted, range(WORKERS)))
    write_line(cache.status.budget.stage)


def write_line(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def call_until_restricted(worker):
    left = CALLS_AFTERWARDS
    while left:
        left -= cache.current_backend == "local"
        cache.set(f"k{worker}", left)
        cache.get_many([f"k{worker}", "other"])
        cache.get("other")
        cache.add(f"count{worker}", 0)
        with suppress(ValueError):  # the budget may be used up since the counter was added
            cache.incr(f"count{worker}")
        cache.set_many({f"many{number}": number for number in range(5)})


async def run_tasks():
    await asyncio.gather(*map(acall_until_restricted, range(WORKERS)))


async def acall_until_restricted(worker):
    left = CALLS_AFTERWARDS
    while left:
        left -= cache.current_backend == "local"
        await cache.aset(f"k{worker}", left)
        await cache.aget_many([f"k{worker}", "other"])
        await cache.aget("other")
        await cache.aadd(f"count{worker}", 0)
        with suppress(ValueError):
            await cache.aincr(f"count{worker}")
        await cache.aset_many({f"many{number}": number for number in range(5)})


if __name__ == "__main__":
    main()
