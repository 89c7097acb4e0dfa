"""The plain client works without Django, so the unit tests of what it is made of run without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BELOW_DJANGO = ("client", "codec", "config", "plans", "transports", "test_keys.py")

PROGRAM = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "django_redis", "asgiref", "rest_framework"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())

import pytest

sys.exit(pytest.main(sys.argv[1:]))
"""

# Without pyproject.toml, whose options of pytest-django pytest would not know.
OPTIONS = [
    "-q", "-c", "/dev/null", "--rootdir=.", "--import-mode=importlib",
    "-p", "no:django", "-p", "no:xdist", "-p", "no:cacheprovider",
    "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function",
    "-o", "pythonpath=.",
    "-k", "not (test_limits or test_hostile or test_roundtrip)",  # the slowest are only imported
]  # fmt: skip


def test_what_is_below_django_is_tested_without_django():
    tests = [f"tests/unit/{name}" for name in BELOW_DJANGO]
    command = [sys.executable, "-c", PROGRAM, *OPTIONS, *tests]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
