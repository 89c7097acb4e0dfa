"""django-redis' own tests, unchanged: exactly those fail that our documentation lists.

They are downloaded and take half a minute, so they run in `make test-all` only, which sets
TEST_LENGTH. `test_like_django_redis.py` is the short form.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from continuum_upstash.emulator.process import running

RUNNER = Path(__file__).with_name("run_django_redis_suite.py")
PAGE = Path(__file__).parents[2] / "docs/how-to/from-django-redis.md"
ROWS = re.findall(r"^\| ((?:`test_\w+`(?:, )?)+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)


def list_failures(variant):
    return [
        test
        for tests, reason in ROWS
        if variant == "sqlite_json" or "only with" not in reason
        for test in re.findall(r"test_\w+", tests)
    ]


def test_the_documentation_counts_the_listed_tests():
    counts = re.findall(r"(\d+) of the (\d+) tests|(\d+) pass\.", PAGE.read_text())
    (passed, total, _), (_, _, passed_with_json) = counts
    assert int(total) - int(passed) == len(list_failures("sqlite"))
    assert int(total) - int(passed_with_json) == len(list_failures("sqlite_json"))


@pytest.mark.skipif("TEST_LENGTH" not in os.environ, reason="downloads django-redis' tests")
@pytest.mark.parametrize("variant", ["sqlite", "sqlite_json", "sqlite_msgpack", "sqlite_gzip"])
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_exactly_the_listed_tests_fail(transport, variant):
    options = {"CLEAR": "flushdb"}
    with running() as emulator:
        location = emulator.redis_url
        if transport == "rest":
            location, options["TOKEN"] = emulator.rest_url, emulator.token
        command = [sys.executable, RUNNER, "--location", location, "--variant", variant]
        command += ["--options", json.dumps(options), "--fails", *list_failures(variant)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
