"""Django's own cache tests, unchanged, on every transport in every mode.

On a database of 2025, the sync modes run, and with TEST_LENGTH (make test-all) all modes.

The only skips in the suite are the cull tests (there is no MAX_ENTRIES) and, on one shared event
loop, two tests that need the test's own thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from continuum_upstash.emulator.process import running

RUNNER = Path(__file__).with_name("run_django_suite.py")


MODES = ["sync", "async", "async-shared"]
MODES_OF_2025 = MODES if "TEST_LENGTH" in os.environ else ["sync"]


@pytest.mark.parametrize("mode", MODES)
def test_djangos_cache_tests_pass_in_local_mode(mode):
    run_suite("", {"MODE": "local"}, mode)


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        *(("upstash", mode) for mode in MODES),
        *(("upstash-2025", mode) for mode in MODES_OF_2025),
    ],
)
@pytest.mark.parametrize("transport", ["rest", "tcp"])
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
