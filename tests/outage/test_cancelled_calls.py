"""After a write or delete, no later read of its process returns an older value.

With cancelled calls, get_or_set and coalescing. TEST_LENGTH=30 makes it more than
a million calls.
"""

from __future__ import annotations

import os

import pytest

from continuum_upstash import AsyncUpstashCache
from tests.outage.cancelled_load import CancelledLoad
from tests.outage.history_checker import find_stale_reads

CALLS = 20_000 * int(os.environ.get("TEST_LENGTH", "0")) or 5_000


@pytest.mark.parametrize("mode", ["rest", "redis"])
async def test_cancelled_calls_cause_no_stale_reads(emulator, mode):
    database = {
        "rest": {"rest_url": emulator.rest_url, "rest_token": emulator.token},
        "redis": {"redis_url": emulator.redis_url},
    }[mode]
    async with AsyncUpstashCache(mode=mode, **database) as client:
        load = CancelledLoad(client, seed=CALLS)
        await load.run(CALLS)
    stale = find_stale_reads(load.history)
    assert not stale, stale[:3]
    assert load.cancelled > CALLS * 0.1
