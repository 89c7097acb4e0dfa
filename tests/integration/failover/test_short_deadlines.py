"""A call with a short deadline of its own, as a rate limit check, does not disturb the breaker."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import DeadlineExceeded
from continuum_upstash.plans.effects import Batch

SLOW = {"READ_TIMEOUT": 5.0}
CHECK = Batch([("INCR", "k")], needs_server=True, deadline_s=0.1)


@pytest.fixture
def send(api, runner):
    """Return a function that sends a batch to a cache's database, sync or async."""

    def send(cache, batch):
        if api == "sync":
            return cache.database.send(batch)
        return runner.run(cache.database.asend(batch))

    return send


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_its_timeouts_never_open_the_breaker(transport, make_cache, emulator, send):
    cache = make_cache(transport, OPTIONS=SLOW)
    send(cache, Batch([("PING",)]))
    with emulator.fault("latency", side=transport, seconds=0.3):
        for _ in range(5):
            with pytest.raises(DeadlineExceeded):
                send(cache, CHECK)
        assert send(cache, Batch([("GET", "missing")])) == [None]
    assert (cache.status.state, cache.status.failures) == ("closed", 0)


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_as_a_probe_it_makes_way_for_the_next_call(transport, make_cache, emulator, send):
    cache = make_cache(transport, OPTIONS=SLOW)
    send(cache, Batch([("PING",)]))
    breaker = cache.database.failover.breaker
    for _ in range(3):
        breaker.record_failure(breaker.generation, "for a test")
    breaker.allow_probe_now()
    with emulator.fault("latency", side=transport, seconds=0.3):
        with pytest.raises(DeadlineExceeded):
            send(cache, CHECK)
        assert cache.status.state == "half_open"
        assert send(cache, Batch([("GET", "missing")])) == [None]
    assert cache.status.state == "closed"
