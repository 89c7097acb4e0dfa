"""Several processes use a migration between two real servers while its rollout changes at random.

No read returns a value that was deleted before, no lock is held twice, and the times to live on
both sides differ by at most two seconds. With TEST_LENGTH, the trace is longer.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from itertools import chain

import pytest
from django.core.cache import caches

from continuum_upstash.migration.counters import read_counts
from continuum_upstash.migration.rollout import RolloutRefused, write_rollout
from tests.integration.migration.trace import Event, find_double_adds, find_stale_reads
from tests.integration.migration.trace_worker import OWN

LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
SECONDS = 2 * LENGTH or 0.7
APIS = ["sync", "async", "sync", "async"] if LENGTH else ["sync", "async"]
INTERVAL = 0.05
NEXT_PHASES = {
    "off": ["shadow"],
    "shadow": ["canary", "canary", "new_primary", "off"],
    "canary": ["canary", "canary", "canary", "new_primary", "shadow", "off"],
    "new_primary": ["canary", "canary", "shadow", "off"],
}
# Django's RedisCache is left out: its own incr() restores a counter that is deleted meanwhile.
SERVERS = [("django-redis", "rest"), ("own", "tcp")][: 2 if LENGTH else 1]


def start_worker(number, api, site):
    options = {"number": number, "api": api, "caches": site.CACHES}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.migration.trace_worker", json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def change_rollout_at_random(seconds):
    """Change phase and percentage, forwards and back; return how often."""
    draw = random.Random(13)
    phase, changes, deadline = "off", 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        phase, percent = draw.choice(NEXT_PHASES[phase]), draw.choice([5, 25, 50, 75, 100])
        while time.monotonic() < deadline:
            with suppress(RolloutRefused):  # until the present phase has reached all processes
                write_rollout("default", phase=phase, percent=percent)
                changes += 1
                break
        time.sleep(draw.uniform(0, 0.2))
    return changes


@pytest.mark.parametrize(("old_backend", "migration"), SERVERS, indirect=True)
def test_a_migration_returns_no_deleted_value_while_its_rollout_changes(migration, capsys):
    migration.CACHES["default"]["OPTIONS"]["ROLLOUT_INTERVAL"] = INTERVAL
    write_rollout("default", phase="off")
    workers = [start_worker(number, api, migration) for number, api in enumerate(APIS, 1)]
    for each in workers:
        assert each.stdout.readline() == "ready\n"
    changes = change_rollout_at_random(SECONDS)
    outputs = [each.communicate()[0] for each in workers]
    assert [each.returncode for each in workers] == [0] * len(APIS)
    events = [Event(*each) for each in chain.from_iterable(map(json.loads, outputs))]
    assert list(find_stale_reads(events)) == []
    assert list(find_double_adds(events)) == []
    drifts = list(list_drifts())
    assert max(drifts, default=0) <= 2.0
    counts = read_counts("default", hours=2)
    if LENGTH:
        with capsys.disabled():
            sys.stdout.write(f"{len(events)} events, {changes} changes, {counts.filled} copies, ")
            sys.stdout.write(f"{max(drifts, default=0):.3f} s drift\n")
    assert len(events) > 50 * SECONDS
    assert changes > 3
    assert counts.filled > 0


def list_drifts():
    """Yield the difference of the times to live of each key that is on both sides, in seconds."""
    old, new = caches["old"], caches["new"]
    for number in range(1, len(APIS) + 1):
        for index in range(OWN):
            key = f"own:{number}:{index}"
            on_old, on_new = old.pttl(key), new.pttl(key)
            if on_old and on_new:
                yield abs(on_old - on_new) / 1000
                assert old.get(key) == new.get(key)
