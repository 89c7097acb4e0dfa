"""A signal handler that uses the cache may interrupt its own thread while that holds a lock."""

from __future__ import annotations

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.transports import registry
from continuum_upstash.transports.rest.sync_token import SyncTokens
from continuum_upstash.transports.singleflight import SingleFlightGroup

LOCKS = {
    "single flights": lambda: SingleFlightGroup()._lock,
    "sync tokens": lambda: SyncTokens()._lock,
    "databases": lambda: registry._process.lock,
    "opening": lambda: registry.Database(Config())._opening,
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_thread_may_take_a_lock_that_it_holds(lock):
    held = lock()
    with held:
        assert held.acquire(blocking=False)
        held.release()
