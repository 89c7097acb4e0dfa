"""Many processes with many threads: never more than the limit in any window."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.rate import parse_rate
from tests.integration.ratelimit.windows import get_maximum_in_any_window

# With TEST_LENGTH=10 each round takes half a minute; without it only the first test runs, in fewer
# processes.
LENGTH = int(os.environ.get("TEST_LENGTH", "0"))

PROCESSES = 8 if LENGTH else 4
WORKERS = 64 // PROCESSES


def run_processes(emulator, transport, api, policies, seconds):
    """Return the sorted Unix milliseconds of the allowed checks of all processes."""
    load = {
        "url": emulator.rest_url if transport == "rest" else emulator.redis_url,
        "token": emulator.token if transport == "rest" else "",
        "policies": policies,
        "api": api,
        "workers": WORKERS,
        "seconds": seconds,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.ratelimit.load_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            process.stdin.write(json.dumps(load) + "\n")
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


def check_limits(emulator, make_cache, transport, api, rates, seconds):
    policies = {f"p{number}": rate for number, rate in enumerate(rates)}
    allowed = run_processes(emulator, transport, api, policies, seconds)
    limits = [parse_rate(rate) for rate in rates]
    for rate in limits:
        assert get_maximum_in_any_window(rate.window, allowed) <= rate.limit
    tightest = min(limits, key=lambda rate: rate.limit / rate.window)
    assert get_maximum_in_any_window(tightest.window, allowed) == tightest.limit
    buckets = 10 if tightest.window < 20_000 else 20
    windows = (allowed[-1] - allowed[0]) / tightest.window
    rate = tightest.limit * buckets / (buckets + 1)
    assert len(allowed) >= 0.95 * rate * windows
    assert list_keys_without_expiry(make_cache(transport).database.send) == []


def list_keys_without_expiry(send):
    found, cursor = [], 0
    while True:
        ((cursor, keys),) = send(Batch([("SCAN", cursor, "COUNT", 1000)]))
        found += [key for key in keys if send(Batch([("PTTL", key.decode())])) == [-1]]
        if int(cursor) == 0:
            return found


@pytest.mark.parametrize(("transport", "api"), [("rest", "sync"), ("tcp", "async")])
def test_64_workers_together_keep_the_limit(transport, api, emulator, make_cache):
    check_limits(emulator, make_cache, transport, api, ["20/1s"], seconds=3)


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


@pytest.mark.skipif(not LENGTH, reason="the long rounds are part of make test-all (TEST_LENGTH)")
@pytest.mark.parametrize(("rates", "transport", "api"), ROUNDS)
def test_64_workers_together_keep_other_limits(rates, transport, api, emulator, make_cache):
    check_limits(emulator, make_cache, transport, api, rates, seconds=3 * LENGTH)
