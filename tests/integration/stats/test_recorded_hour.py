"""The statistics' bill is the emulator's, for an hour of the example site (TEST_LENGTH)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.health import read_overview
from continuum_upstash.stats.shared import writer
from continuum_upstash.stats.shared.writer import SharedWriter
from continuum_upstash.transports.registry import get_process_state


@pytest.mark.skipif(
    "TEST_LENGTH" not in os.environ, reason="takes half a minute: part of make test-all"
)
def test_both_bills_of_an_hour_agree_within_2_percent():
    command = [sys.executable, "-m", "benchmarks.recorded_hour", "600"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    run = subprocess.run(command, env=kept, capture_output=True, text=True, check=True)
    (difference,) = re.findall(r"([+-]\d+\.\d+)% \|", run.stdout)
    assert abs(float(difference)) < 2, run.stdout


@pytest.fixture
def started(site, new_process_state):
    """Statistics with their default settings."""
    del new_process_state
    site.CONTINUUM_STATS = {}
    writer.start()
    yield
    writer.stop()


@pytest.mark.usefixtures("started")
def test_both_bills_of_one_process_are_the_same(emulator):
    cache = get_cache()
    with emulator.count() as used:
        for number in range(60):
            cache.set(f"query:{number}", number, 60)
            cache.get(f"query:{number}")
            cache.incr(f"query:{number}")
            cache.get_many([f"query:{number}", "memory:1"])
        cache.set_many({f"memory:{number}": number for number in range(20)}, 60)
        with cache.lock("report"):
            cache.set("tagged", 1, 60, tags=["a"])
        cache.delete_pattern("query:*")
        get_process_state(SharedWriter).flush_all()
    overview = cache.run(read_overview(cache, now=datetime.now(UTC)))
    assert overview.bill.commands == used.billed > 300
