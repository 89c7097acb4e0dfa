"""A crowd on a small pool: a present key is found, or the call says that the pool is full.

With TEST_LENGTH, both kinds of threads are tried over both transports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from continuum_upstash import UpstashCache
from tests.integration.interruption.crowd import CALLERS

COMBINATIONS = [("rest", "threads"), ("redis", "gevent")]
if "TEST_LENGTH" in os.environ:
    COMBINATIONS += [("rest", "gevent"), ("redis", "threads")]
LATENCY = 0.4


@pytest.mark.parametrize(("mode", "scheduler"), COMBINATIONS)
def test_three_hundred_callers_on_two_connections(emulator, scheduler, mode):
    if scheduler == "gevent" and importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    database = {
        "rest": {"rest_url": emulator.rest_url, "rest_token": emulator.token},
        "redis": {"redis_url": emulator.redis_url},
    }[mode]
    client = UpstashCache(**database)
    client.set("present", "value")
    client.set("counter", 1000)
    arguments = json.dumps(database | {"mode": mode, "pool_size": 2})
    side = "tcp" if mode == "redis" else "rest"
    with emulator.fault("latency", side=side, seconds=LATENCY):
        program = "tests.integration.interruption.crowd"
        command = [sys.executable, "-m", program, scheduler, arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    outcome = json.loads(done.stdout)
    results = outcome["results"]
    served = {name: CALLERS // 3 - got.pop("PoolExhausted", 0) for name, got in results.items()}
    assert 2 <= sum(served.values()) < CALLERS
    assert set(results["get"]) <= {"value"}
    assert results["add"].get("True", 0) <= 1
    assert set(results["add"]) <= {"True", "False"}
    assert set(map(int, results["incr"])) == set(range(1001, 1001 + served["incr"]))
    assert (outcome["state"], outcome["local_replies"], outcome["dirty_keys"]) == ("closed", 0, 0)
    assert outcome["pool_exhausted"] == CALLERS - sum(served.values())
    assert done.stderr.count("connection pool exhausted") == 1
    assert client.get("present") == "value"
    assert client.get("counter") == 1000 + served["incr"]
    client.close()
