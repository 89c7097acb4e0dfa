"""Django's own session tests, unchanged: of the store, and of the middleware with this store.

They run a second time with this package's middleware in place of Django's. The only skips are a
test that reads the table django_session, and on Django 6.1 those of that version itself.
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

CONTINUUM_MIDDLEWARE = """\
import django.contrib.sessions.middleware as django_middleware
from continuum_upstash.sessions.middleware import SessionMiddleware
django_middleware.SessionMiddleware = SessionMiddleware
"""


COMBINATIONS = [("rest", "continuum", "upstash"), ("tcp", "django", "upstash")]
if "TEST_LENGTH" in os.environ:  # make test-all sets it
    COMBINATIONS = [*product(["rest", "tcp"], ["django", "continuum"], ["upstash", "upstash-2025"])]


@pytest.mark.parametrize(("transport", "middleware", "profile"), COMBINATIONS)
def test_djangos_session_tests_pass(transport, middleware, profile):
    with running(f"--profile={profile}") as emulator:
        if transport == "rest":
            arguments = ["--location", emulator.rest_url]
            arguments += ["--options", json.dumps({"TOKEN": emulator.token})]
        else:
            arguments = ["--location", emulator.redis_url]
        if middleware == "continuum":
            arguments += ["--settings-extra", CONTINUUM_MIDDLEWARE]
        command = [sys.executable, RUNNER, "--engine", "continuum_upstash.sessions", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 failed, 0 errors, " in run.stdout
