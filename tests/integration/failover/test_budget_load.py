"""Four processes under load, over REST and TCP, sync and async, stay within one budget.

TEST_LENGTH makes the budget larger: 10,000 commands for each unit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
BUDGET = 10_000 * LENGTH or 3_000
KINDS = [("rest", "sync"), ("rest", "async"), ("tcp", "sync"), ("tcp", "async")]


def run_processes(emulator, budget):
    """Return the stages that the processes reached."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.failover.budget_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in KINDS
    ]
    try:
        for process, (transport, api) in zip(processes, KINDS, strict=True):
            load = {
                "url": emulator.rest_url if transport == "rest" else emulator.redis_url,
                "token": emulator.token if transport == "rest" else "",
                "budget": budget,
                "api": api,
            }
            process.stdin.write(json.dumps(load) + "\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=60 + 30 * LENGTH)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [output.strip() for output in outputs]


def test_four_processes_under_load_hold_the_budget(emulator):
    budget = {"COMMANDS": BUDGET, "ESSENTIAL": 1.0}
    with emulator.count() as spent:
        stages = run_processes(emulator, budget)
    assert stages == ["local"] * 4
    assert 0.96 * BUDGET <= spent.billed <= 1.01 * BUDGET
