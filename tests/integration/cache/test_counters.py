"""The documented way to keep counters through an outage: an alias without fallback."""

from __future__ import annotations

import time

import pytest

from continuum_upstash.errors import Unavailable
from tests.conftest import SyncOrAsync
from tests.waiting import wait_until


@pytest.fixture
def counters(transport, api, make_cache, request):
    options = {"FALLBACK": False, "ON_FULL": "raise", "READ_TIMEOUT": 0.3}
    cache = make_cache(transport, TIMEOUT=None, OPTIONS=options)
    return SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)


def is_reachable(counters):
    counters.cache.database.failover.breaker.allow_probe_now()
    try:
        return counters.has_key("n")
    except Unavailable:
        return False


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("kind", ["refuse", "hang", "reset"])
def test_a_counter_without_fallback_survives_an_outage(counters, emulator, transport, kind):
    counters.set("n", 100)
    with emulator.fault(kind, side=transport):
        for _ in range(5):
            with pytest.raises(Unavailable):
                counters.incr("n")
    if kind == "hang":
        time.sleep(0.5)  # requests that hung are processed
    wait_until(lambda: is_reachable(counters))
    before = counters.get("n")
    assert 100 <= before <= 105
    assert counters.incr("n") == before + 1
