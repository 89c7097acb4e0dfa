"""A process that asks as fast as it may, from several threads or tasks.

Reads one JSON object from its input: how, and for how long; begins when a line "go" follows; and
prints the Unix milliseconds of all that was let through.
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

# Who is refused rests for so long at most, as a client would that does not wait as it is told.
REST_SECONDS = 0.003


def main():
    order = json.loads(sys.stdin.readline())
    options = {"POOL_SIZE": order["workers"], "READ_TIMEOUT": 20.0, "CONNECT_TIMEOUT": 20.0}
    if order["token"]:
        options["TOKEN"] = order["token"]
    settings.configure(
        SECRET_KEY="only-for-tests",
        CACHES={
            "default": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "LOCATION": order["url"],
                "OPTIONS": options,
            }
        },
        # What is proved is the counting: no check may be answered in the database's place.
        CONTINUUM_RATELIMIT={
            "DEADLINE": 20.0,
            "POLICIES": {
                name: {"rate": rate, "on_error": "deny"} for name, rate in order["policies"].items()
            },
        },
    )
    django.setup()
    Limiter().check(order["policies"], "warm-up")
    say("ready")
    sys.stdin.readline()
    until = time.monotonic() + order["seconds"]
    if order["api"] == "async":
        passed = asyncio.run(tasks(order, until))
    else:
        with ThreadPoolExecutor(order["workers"]) as threads:
            futures = [threads.submit(ask, order, until) for _ in range(order["workers"])]
            passed = [at for future in futures for at in future.result()]
    say(json.dumps(passed))


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def ask(order, until):
    limiter, passed = Limiter(), []
    while time.monotonic() < until:
        decision = limiter.check(order["policies"], "everybody")
        if decision.allowed:
            passed.append(decision.at)
        else:
            assert decision.reason in {"limited", "cached"}, decision
            time.sleep(min(decision.retry_after, REST_SECONDS))
    return passed


async def tasks(order, until):
    limiter = Limiter()

    async def ask():
        passed = []
        while time.monotonic() < until:
            decision = await limiter.acheck(order["policies"], "everybody")
            if decision.allowed:
                passed.append(decision.at)
            else:
                assert decision.reason in {"limited", "cached"}, decision
                await asyncio.sleep(min(decision.retry_after, REST_SECONDS))
        return passed

    found = await asyncio.gather(*(ask() for _ in range(order["workers"])))
    return [at for passed in found for at in passed]


if __name__ == "__main__":
    main()
