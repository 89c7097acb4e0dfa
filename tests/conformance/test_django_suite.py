"""Django's own cache tests, unchanged, on every transport in every mode.

With TEST_LENGTH (make test-all), they run in every combination of a transport, a mode and a
database; else in those that cover each of these once.

The only skips in the suite are the cull tests (there is no MAX_ENTRIES) and, on one shared event
loop, two tests that need the test's own thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from continuum_upstash.emulator.process import running

RUNNER = Path(__file__).with_name("run_django_suite.py")


MODES = ["sync", "async", "async-shared"]
COMBINATIONS = [
    ("rest", "upstash", "sync"),
    ("rest", "upstash", "async-shared"),
    ("tcp", "upstash", "async"),
    ("tcp", "upstash-2025", "sync"),
]
LOCAL_MODES = ["async"]
if "TEST_LENGTH" in os.environ:
    COMBINATIONS = [*product(["rest", "tcp"], ["upstash", "upstash-2025"], MODES)]
    LOCAL_MODES = MODES


@pytest.mark.parametrize("mode", LOCAL_MODES)
def test_djangos_cache_tests_pass_in_local_mode(mode):
    run_suite("", {"MODE": "local"}, mode)


@pytest.mark.parametrize(("transport", "profile", "mode"), COMBINATIONS)
def test_djangos_cache_tests_pass(transport, profile, mode):
    # A database of its own, because the suite clears it.
    with running(f"--profile={profile}") as emulator:
        if transport == "rest":
            run_suite(emulator.rest_url, {"TOKEN": emulator.token}, mode)
        else:
            run_suite(emulator.redis_url, {}, mode)


def run_suite(location, options, mode):
    arguments = ["--location", location, "--options", json.dumps(options), "--mode", mode]
    run = subprocess.run(
        [sys.executable, RUNNER, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 failed, 0 errors, " in run.stdout
