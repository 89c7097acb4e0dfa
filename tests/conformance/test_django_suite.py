"""Django's own cache tests, unchanged, on every transport in every mode.

The only skips are the cull tests (there is no MAX_ENTRIES) and, on one shared event loop, two tests
that need the test's own thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from continuum_upstash.emulator.process import running

RUNNER = Path(__file__).with_name("run_django_suite.py")


@pytest.mark.parametrize("mode", ["sync", "async", "async-shared"])
@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_djangos_cache_tests_pass(transport, mode):
    if transport == "local":
        run_suite("", {"MODE": "local"}, mode)
        return
    with running() as emulator:  # a database of its own, because the suite clears it
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
