"""The tests of Django's Tasks framework and those of django-tasks-db, on REST and TCP.

Django contains the former from 6.0 on; `make test-all` runs them with each supported version. Of
the latter, `make test` runs those without worker processes, over REST.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import django
import pytest

from continuum_upstash.emulator.process import running

FOLDER = Path(__file__).parent
IS_LONG = "TEST_LENGTH" in os.environ


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 5.2 has no Tasks framework")
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_djangos_tests_of_tasks_pass(transport):
    summary = run_suite("run_tasks_suite.py", transport)
    assert " passed, 0 failed, 4 exceptions of " in summary


@pytest.mark.parametrize("transport", ["rest", "tcp"] if IS_LONG else ["rest"])
def test_the_tests_of_django_tasks_db_pass(transport):
    cases = [] if IS_LONG else ["--k=DatabaseBackendTestCase", "--k=DatabaseBackendWorkerTestCase"]
    summary = run_suite("run_tasks_db_suite.py", transport, *cases)
    passed = int(summary.rpartition(" passed, 0 failed, ")[0].rpartition("\n")[2])
    assert passed >= (43 if IS_LONG else 34)


def run_suite(runner, transport, *arguments):
    with running() as emulator:  # the suites delete all data
        place = ["--location", emulator.redis_url]
        if transport == "rest":
            options = json.dumps({"TOKEN": emulator.token})
            place = ["--location", emulator.rest_url, "--options", options]
        command = [sys.executable, FOLDER / runner, *place, *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
