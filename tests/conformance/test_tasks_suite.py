"""Django's own tests of its Tasks framework, on REST and TCP.

They are part of Django from 6.0 on; `make test-all` runs them with each supported version.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import django
import pytest

from continuum_upstash.emulator.process import running

RUNNER = Path(__file__).with_name("run_tasks_suite.py")


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 5.2 has no Tasks framework")
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_djangos_tests_of_tasks_pass(transport):
    with running() as emulator:  # the suite deletes all data
        arguments = ["--location", emulator.redis_url]
        if transport == "rest":
            options = json.dumps({"TOKEN": emulator.token})
            arguments = ["--location", emulator.rest_url, "--options", options]
        run = subprocess.run(
            [sys.executable, RUNNER, *arguments], capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed, 0 failed, 4 exceptions of " in run.stdout
