"""How the database is probed after an outage, and that no stale value is read from it."""

from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import DeadlineExceeded, Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.failover.transport import AsyncFailoverTransport
from continuum_upstash.transports.service_errors import make_reply_error
from tests.unit.transports.failover.failover_harness import (
    CONFIG,
    QUOTA,
    FailoverHarness,
    ReplyLost,
    refused,
)


def test_the_breaker_closes_without_fallback_too(without_fallback):
    for _ in range(3):
        without_fallback.remote.outcomes = [refused()]
        with pytest.raises(Unavailable):
            without_fallback.call("GET", "k")
    without_fallback.end_outage()
    assert without_fallback.call("SET", "k", b"v") == b"OK"
    assert without_fallback.breaker.is_passing


def test_a_probe_sends_ping_then_unlink_then_the_batch(harness):
    harness.remote.call("SET", "k", b"old")
    harness.start_outage()
    harness.call("SET", "k", b"new")
    harness.call("DEL", "l")
    harness.end_outage()
    assert harness.call("GET", "k") is None
    assert harness.remote.sent == [[("PING",)], [("UNLINK", "k", "l")], [("GET", "k")]]
    assert harness.breaker.is_passing
    assert len(harness.dirty_keys) == 0


def test_local_copies_are_dropped_after_the_recovery(harness):
    harness.start_outage()
    harness.call("SET", "k", b"new")
    harness.end_outage()
    harness.call("SET", "k", b"after")
    harness.start_outage()
    assert harness.call("GET", "k") is None, "a value of the previous outage would be stale"


def test_a_probe_whose_ping_fails_sends_nothing_else(harness):
    harness.start_outage()
    harness.clock.now = harness.breaker.retry_at
    assert harness.call("INCRBY", "k", 1) == 1
    assert harness.remote.sent == [[("PING",)]]
    assert harness.breaker.state.value == "open"


def test_the_ping_of_a_probe_has_its_batchs_deadline(harness):
    harness.start_outage()
    harness.end_outage()
    batch = Batch((("GET", "k"), ("GET", "l")), atomic=True, deadline_s=0.25)
    plan = harness.policy.probe_then_send(harness.breaker.acquire(), batch)
    assert next(plan) == Batch((("PING",),), deadline_s=0.25)


OWN_TIMEOUT = "no reply within this batch's deadline (0.25 s)."


def test_a_timeout_that_is_no_outage_never_opens_the_breaker(harness):
    errors = [DeadlineExceeded(OWN_TIMEOUT, is_outage=False) for _ in range(5)]
    harness.remote.outcomes = list(errors)
    assert [harness.call("GET", "k") for _ in errors] == [None] * 5
    assert (harness.breaker.state.value, harness.breaker.failures) == ("closed", 0)


def test_a_timeout_that_is_no_outage_does_not_reset_the_count_of_failures(harness):
    own_timeout = DeadlineExceeded(OWN_TIMEOUT, is_outage=False)
    harness.remote.outcomes = [refused(), refused(), own_timeout, refused()]
    for _ in range(4):
        harness.call("GET", "k")
    assert harness.breaker.state.value == "open"


def test_a_probe_that_ends_at_its_own_deadline_is_replaced_by_the_next_call(harness):
    harness.start_outage()
    harness.end_outage()
    harness.remote.outcomes = [DeadlineExceeded(OWN_TIMEOUT, is_outage=False)]
    assert harness.call("GET", "k") is None
    assert harness.breaker.state.value == "half_open"
    assert harness.remote.sent == [[("PING",)]]
    harness.call("GET", "k")
    assert harness.breaker.is_passing


def test_a_ping_that_exceeds_the_quota_opens_the_breaker_again(harness):
    harness.start_outage()
    harness.end_outage()
    harness.remote.outcomes = [[make_reply_error(QUOTA)]]
    assert harness.call("GET", "k") is None
    assert harness.breaker.retry_at - harness.clock.now >= 300


def test_a_write_whose_reply_was_lost_is_unlinked_before_its_key_is_read(harness):
    harness.remote.outcomes = [ReplyLost(DeadlineExceeded("too late"))]
    assert harness.call("SET", "k", b"perhaps") == b"OK"
    assert harness.call("GET", "k") is None
    assert harness.remote.sent[1:] == [[("UNLINK", "k")], [("GET", "k")]]


def test_while_closed_only_the_keys_of_failed_writes_are_unlinked(harness):
    harness.remote.outcomes = [refused()]
    harness.call("SET", "k", b"v")
    harness.dirty_keys._sweep_lease_until = harness.clock.now + 1  # another caller is sweeping
    harness.call("GET", "other")
    assert harness.remote.sent[1:] == [[("GET", "other")]]


@pytest.mark.parametrize("reply", ["READONLY You can't write", "NOPERM this user"])
def test_a_key_whose_unlink_is_refused_is_served_locally(harness, reply):
    harness.remote.call("SET", "k", b"old")
    harness.remote.outcomes = [refused()]
    harness.call("SET", "k", b"v")
    harness.remote.outcomes = [[make_reply_error(reply)]]
    assert harness.call("GET", "k") == b"v"
    assert harness.breaker.is_passing
    assert harness.call("GET", "k") is None, "the next UNLINK succeeds"


def test_a_recovery_that_fails_is_continued_by_the_next_call(harness):
    harness.start_outage()
    harness.call("SET", "k", b"v")
    harness.end_outage()
    harness.remote.outcomes = [None, refused()]
    assert harness.call("GET", "k") == b"v"
    harness.end_outage()
    assert harness.call("GET", "k") is None
    assert harness.remote.sent[-3:] == [[("PING",)], [("UNLINK", "k")], [("GET", "k")]]


def test_a_transactions_dirty_keys_are_unlinked_before_it_is_sent(harness):
    harness.remote.call("SET", "k", b"7")
    harness.remote.outcomes = [refused()]
    harness.call("SET", "k", b"1")
    assert harness.send(("INCR", "k"), ("INCR", "k"), atomic=True) == [1, 2]


async def test_a_cancelled_probe_does_not_block_the_breaker():
    harness = FailoverHarness()
    harness.start_outage()
    harness.end_outage()

    class Hanging:
        name = "upstash-rest"

        async def asend(self, batch):
            await asyncio.Event().wait()

        async def aclose(self):
            """There is nothing to close."""

    probe = asyncio.ensure_future(
        AsyncFailoverTransport(Hanging(), harness.policy).asend(Batch((("GET", "k"),)))
    )
    await asyncio.sleep(0)
    assert harness.breaker.state.value == "half_open"
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert harness.call("GET", "k") is None, "other calls are served locally meanwhile"
    harness.clock.now += 3 * CONFIG.read_timeout
    harness.call("GET", "k")
    assert harness.breaker.is_passing


def test_a_script_starts_from_nothing_locally(harness):
    script = Script(
        "return redis.call('INCR', KEYS[1])", lambda call, keys, args: call("INCR", keys[0])
    )
    harness.remote.call("SET", "hits", b"41")
    harness.start_outage()
    assert harness.call("EVAL", script, 1, "hits") == 1
    harness.end_outage()
    assert harness.call("GET", "hits") is None, "neither 41 nor 1 would be right"
