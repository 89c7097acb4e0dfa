"""The proof: many processes of many threads, and never one more than the limit in any window."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.rate import parse

# TEST_LENGTH=10 makes the rounds half a minute each; without it only the first test runs.
LENGTH = int(os.environ.get("TEST_LENGTH", "0"))

PROCESSES = 8
WORKERS = 8


def hammer(emulator, transport, api, policies, seconds):
    """Return the sorted Unix milliseconds of what all processes together were let through."""
    order = {
        "url": emulator.rest_url if transport == "rest" else emulator.redis_url,
        "token": emulator.token if transport == "rest" else "",
        "policies": policies,
        "api": api,
        "workers": WORKERS,
        "seconds": seconds,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.ratelimit.hammer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=seconds + 60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return sorted(at for output in outputs for at in json.loads(output))


def most_in_any(window, times):
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def prove(emulator, make_cache, transport, api, rates, seconds):
    policies = {f"p{number}": rate for number, rate in enumerate(rates)}
    passed = hammer(emulator, transport, api, policies, seconds)
    limits = [parse(rate) for rate in rates]
    for rate in limits:
        assert most_in_any(rate.window, passed) <= rate.limit
    tightest = min(limits, key=lambda rate: rate.limit / rate.window)
    assert most_in_any(tightest.window, passed) == tightest.limit
    buckets = 10 if tightest.window < 20_000 else 20
    windows = (passed[-1] - passed[0]) / tightest.window
    rate = tightest.limit * buckets / (buckets + 1)
    assert len(passed) >= 0.95 * rate * windows
    assert keys_without_end(make_cache(transport).database.send) == []


def keys_without_end(send):
    endless, cursor = [], 0
    while True:
        ((cursor, keys),) = send(Batch([("SCAN", cursor, "COUNT", 1000)]))
        endless += [key for key in keys if send(Batch([("PTTL", key.decode())])) == [-1]]
        if int(cursor) == 0:
            return endless


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_64_workers_are_let_through_exactly_as_often_as_the_limit_says(
    transport, api, emulator, make_cache
):
    prove(emulator, make_cache, transport, api, ["20/1s"], seconds=3)


ROUNDS = [
    (["1/250ms"], "rest", "sync"),
    (["7/250ms"], "tcp", "async"),
    (["100/250ms"], "tcp", "sync"),
    (["1/2s"], "rest", "async"),
    (["7/2s"], "tcp", "sync"),
    (["100/2s"], "rest", "sync"),
    (["20/1s", "60/4s"], "rest", "async"),
    (["20/1s", "60/4s"], "tcp", "sync"),
]


@pytest.mark.skipif(not LENGTH, reason="the long proof is part of make test-all (TEST_LENGTH)")
@pytest.mark.parametrize(("rates", "transport", "api"), ROUNDS)
def test_64_workers_by_other_rates(rates, transport, api, emulator, make_cache):
    prove(emulator, make_cache, transport, api, rates, seconds=3 * LENGTH)
