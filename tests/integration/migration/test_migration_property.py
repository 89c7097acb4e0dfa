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
from itertools import chain

import pytest
from django.core.cache import caches

from continuum_upstash.migration.counters import read_counts
from continuum_upstash.migration.rollout import RolloutRefused, write_rollout
from tests.integration.migration.trace import Event, find_double_adds, find_stale_reads
from tests.integration.migration.trace_worker import OWN
from tests.waiting import wait_until

LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
CHANGES = 15 * LENGTH or 4
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


def change_rollout_at_random():
    """Change phase and percentage, forwards and back."""
    draw, phase = random.Random(13), "off"
    for _ in range(CHANGES):
        phase, percent = draw.choice(NEXT_PHASES[phase]), draw.choice([5, 25, 50, 75, 100])
        wait_until(lambda phase=phase, percent=percent: try_to_change(phase, percent))
        time.sleep(draw.uniform(0, 0.2 if LENGTH else 0.05))


def try_to_change(phase, percent):
    """Return whether the present phase has reached all processes, so that it can be changed."""
    try:
        write_rollout("default", phase=phase, percent=percent)
    except RolloutRefused:
        return False
    return True


@pytest.mark.parametrize(("old_backend", "migration"), SERVERS, indirect=True)
def test_a_migration_returns_no_deleted_value_while_its_rollout_changes(migration, capsys):
    migration.CACHES["default"]["OPTIONS"]["ROLLOUT_INTERVAL"] = INTERVAL
    write_rollout("default", phase="off")
    workers = [start_worker(number, api, migration) for number, api in enumerate(APIS, 1)]
    for each in workers:
        assert each.stdout.readline() == "ready\n"
    change_rollout_at_random()
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
            sys.stdout.write(f"{len(events)} events, {CHANGES} changes, {counts.filled} copies, ")
            sys.stdout.write(f"{max(drifts, default=0):.3f} s drift\n")
    assert len(events) > 50
    assert counts.filled or not LENGTH


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
