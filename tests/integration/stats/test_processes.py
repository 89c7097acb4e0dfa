"""The directory of Prometheus' multiprocess mode, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = """
import django
from django.conf import settings
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend"}},
    INSTALLED_APPS=["continuum_upstash"], CONTINUUM_STATS={"PROMETHEUS": True, "SHARED": False},
    SECRET_KEY="s",
)
django.setup()
from pathlib import Path
from django.core.cache import cache
from django.core.checks import run_checks
cache.get_many(["a"])
cache.get("k")
cache.get("k")
print(cache.status.state)
print(*[each.id for each in run_checks()])
print(*[each.name for each in Path(%r).glob("*.db")])
"""


def run_program(folder):
    """Run a program during an outage; return the lines it printed."""
    environ = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9",
        "UPSTASH_REDIS_REST_TOKEN": "token",
    }
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND % str(folder)],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_a_command_that_has_ended_leaves_its_counters_but_no_gauges(tmp_path):
    state, _, names = run_program(tmp_path)
    assert state == "open"
    assert "gauge_livemax_" in names
    remaining = {each.name.rpartition("_")[0] for each in tmp_path.glob("*.db")}
    assert remaining == {"counter", "histogram"}


def test_a_missing_directory_does_not_stop_a_process(tmp_path):
    assert run_program(tmp_path / "missing")[:2] == ["open", "continuum_upstash.E009"]
