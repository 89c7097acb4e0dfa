"""A batch whose own deadline is shorter than the transport's timeouts."""

from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import DeadlineExceeded
from continuum_upstash.plans.effects import Batch


def send(cache, api, runner, batch):
    if api == "sync":
        return cache.database.send(batch)
    return runner.run(cache.database.asend(batch))


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_batch_ends_at_its_own_deadline(transport, coalesce, api, make_cache, emulator, runner):
    options = {"READ_TIMEOUT": 10.0, "COALESCE": coalesce}
    cache = make_cache(transport, OPTIONS=options)
    send(cache, api, runner, Batch([("PING",)]))
    batch = Batch([("INCR", "k")], needs_server=True, deadline_s=0.1)
    with emulator.fault("hang", side="both"), pytest.raises(DeadlineExceeded, match=r"0\.1 s"):
        send(cache, api, runner, batch)


def test_a_short_deadline_does_not_affect_other_calls_in_the_same_request(
    make_cache, emulator, runner
):
    cache = make_cache("rest", OPTIONS={"READ_TIMEOUT": 10.0})
    cache.set("k", 5)

    async def both():
        short = cache.database.asend(Batch([("PING",)], needs_server=True, deadline_s=0.1))
        return await asyncio.gather(short, cache.aget("k"), return_exceptions=True)

    with emulator.fault("latency", seconds=0.5):
        expired, value = runner.run(both())
    assert isinstance(expired, DeadlineExceeded)
    assert value == 5
