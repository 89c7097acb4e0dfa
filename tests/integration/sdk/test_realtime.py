"""The unmodified @upstash/realtime under node, and channels: each reads what the other publishes.

The packages are installed by `npm ci --prefix tests/integration/sdk/npm`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.cache import caches

from continuum_upstash.federation import Channel
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry

NPM = Path(__file__).parent / "npm"
node = shutil.which("node")

pytestmark = pytest.mark.skipif(
    node is None or not (NPM / "node_modules" / "@upstash" / "realtime").exists(),
    reason="node or the SDKs are not installed: npm ci --prefix tests/integration/sdk/npm",
)


@pytest.fixture
def room(emulator, settings):
    settings.CACHES = {"federation": make_entry(emulator, "rest")}
    yield Channel("room")
    database = caches["federation"].database
    database.extras.get(Hub, lambda: Hub(database)).close()
    registry.reset()


@pytest.fixture
def start(emulator):
    """Return a function that starts a process of node, which is stopped after the test."""
    processes = []

    def start(*arguments):
        environment = os.environ | {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        }
        process = subprocess.Popen(
            [node, "realtime.mjs", *arguments],
            cwd=NPM,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def read(process):
    return json.loads(process.stdout.readline())


def test_each_side_reads_what_the_other_publishes(room, start):
    values = [{"text": "ü", "n": [1, 2.5, None]}, "plain", "123", "null", 7, None, True]
    first = room.publish("chat.message", "first")
    missed = room.publish("chat.message", "missed")
    process = start("room", first)
    assert read(process)["id"] == missed
    assert [event["data"] for event in read(process)] == ["first", "missed"]
    with room.subscribe() as events:
        for value in values:
            event_id = room.publish("chat.message", value)
            assert read(process) == {
                "id": event_id,
                "data": value,
                "event": "chat.message",
                "channel": "room",
                "cursor": event_id,
            }
            assert events.receive(10).data == value
        for value in values:
            process.stdin.write(json.dumps(value) + "\n")
            process.stdin.flush()
            event = events.receive(10)
            assert (event.data, event.event) == (value, "chat.message")
            assert read(process)["id"] == event.id
    # JavaScript stores text as it is, so its "123" is read again as a number, and "null" as None.
    stored = [event.data for event in room.history(len(values))]
    assert stored == [*values[:2], 123, None, *values[4:]]
