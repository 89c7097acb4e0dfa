"""A process that checks as fast as it can, in several threads or tasks.

It reads its options as one JSON object from stdin, prints "ready", starts at the line "go", and
prints the Unix milliseconds of all allowed checks.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import django
from django.conf import settings

from continuum_upstash.ratelimit import Limiter

# After a denied check, a thread waits at most this long: it ignores a longer Retry-After.
MAX_WAIT_SECONDS = 0.003


def main():
    load = json.loads(sys.stdin.readline())
    options = {"POOL_SIZE": load["workers"], "READ_TIMEOUT": 20.0, "CONNECT_TIMEOUT": 20.0}
    if load["token"]:
        options["TOKEN"] = load["token"]
    settings.configure(
        SECRET_KEY="only-for-tests",
        CACHES={
            "default": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "LOCATION": load["url"],
                "OPTIONS": options,
            }
        },
        # The test is about counting: the local limiter must not decide.
        CONTINUUM_RATELIMIT={
            "DEADLINE": 20.0,
            "POLICIES": {
                name: {"rate": rate, "on_error": "deny"} for name, rate in load["policies"].items()
            },
        },
    )
    django.setup()
    Limiter().check(load["policies"], "warm-up")
    write_line("ready")
    sys.stdin.readline()
    until = time.monotonic() + load["seconds"]
    if load["api"] == "async":
        allowed = asyncio.run(run_tasks(load, until))
    else:
        with ThreadPoolExecutor(load["workers"]) as threads:
            futures = [threads.submit(check_until, load, until) for _ in range(load["workers"])]
            allowed = [at for future in futures for at in future.result()]
    write_line(json.dumps(allowed))


def write_line(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def check_until(load, until):
    limiter, allowed = Limiter(), []
    while time.monotonic() < until:
        decision = limiter.check(load["policies"], "shared")
        if decision.allowed:
            allowed.append(decision.at)
        else:
            assert decision.reason in {"limited", "cached"}, decision
            time.sleep(min(decision.retry_after, MAX_WAIT_SECONDS))
    return allowed


async def run_tasks(load, until):
    limiter = Limiter()

    async def check_in_task():
        allowed = []
        while time.monotonic() < until:
            decision = await limiter.acheck(load["policies"], "shared")
            if decision.allowed:
                allowed.append(decision.at)
            else:
                assert decision.reason in {"limited", "cached"}, decision
                await asyncio.sleep(min(decision.retry_after, MAX_WAIT_SECONDS))
        return allowed

    results = await asyncio.gather(*(check_in_task() for _ in range(load["workers"])))
    return [at for allowed in results for at in allowed]


if __name__ == "__main__":
    main()
