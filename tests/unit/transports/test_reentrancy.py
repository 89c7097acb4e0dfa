"""A signal handler that uses the cache may interrupt its own thread while that holds a lock."""

from __future__ import annotations

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.transports import registry
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.redis.url_file import UrlFileTransport
from continuum_upstash.transports.rest.httpx_deadline import ThreadDeadline
from continuum_upstash.transports.rest.sync_token import SyncTokens
from continuum_upstash.transports.singleflight import SingleFlightGroup

LOCKS = {
    "single flights": lambda: SingleFlightGroup()._lock,
    "sync tokens": lambda: SyncTokens()._lock,
    "databases": lambda: registry._process.lock,
    "opening": lambda: registry.Database(Config())._opening,
    "URL file": lambda: UrlFileTransport(Secret("rediss://db.example"), lambda: None)._lock,
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_thread_may_take_a_lock_that_it_holds(lock):
    held = lock()
    with held:
        assert held.acquire(blocking=False)
        held.release()


def test_the_deadline_of_an_interrupted_call_still_applies_after_the_handler():
    deadline = ThreadDeadline()
    with deadline.apply(Deadline(5.0)):
        with deadline.apply(Deadline(1.0)):
            assert deadline.limit(None) <= 1.0
        assert 1.0 < deadline.limit(None) <= 5.0
