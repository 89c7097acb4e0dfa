"""How the database is asked again, and that nothing stale comes back from it."""

from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded, Unavailable, from_reply
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.failover.transport import AsyncFailover
from tests.unit.transports.failover.failover_harness import CONFIG, QUOTA, Bench, Lost, refused


def test_without_fallback_it_recovers_all_the_same(strict):
    for _ in range(3):
        strict.remote.script = [refused()]
        with pytest.raises(Unavailable):
            strict.call("GET", "k")
    strict.come_back()
    assert strict.call("SET", "k", b"v") == b"OK"
    assert strict.breaker.passes


def test_the_probe_knocks_then_has_forgotten_what_was_written_then_asks(bench):
    bench.remote.call("SET", "k", b"from before")
    bench.go_down()
    bench.call("SET", "k", b"meanwhile")
    bench.call("DEL", "l")
    bench.come_back()
    assert bench.call("GET", "k") is None
    assert bench.remote.sent == [[("PING",)], [("UNLINK", "k", "l")], [("GET", "k")]]
    assert bench.breaker.passes
    assert len(bench.journal) == 0


def test_the_local_copy_is_gone_after_the_recovery(bench):
    bench.go_down()
    bench.call("SET", "k", b"meanwhile")
    bench.come_back()
    bench.call("SET", "k", b"after")
    bench.go_down()
    assert bench.call("GET", "k") is None, "an answer from the last outage would be stale"


def test_a_probe_that_knocks_in_vain_sends_nothing_else(bench):
    bench.go_down()
    bench.clock.now = bench.breaker.until
    assert bench.call("INCRBY", "k", 1) == 1
    assert bench.remote.sent == [[("PING",)]]
    assert bench.breaker.state.value == "open"


def test_a_probe_knocks_no_longer_than_its_batch_may_take(bench):
    bench.go_down()
    bench.come_back()
    ticket = bench.breaker.admit()
    plan = bench.standby.careful(ticket, Batch((("GET", "k"),), deadline_s=0.25))
    assert next(plan) == Batch((("PING",),), deadline_s=0.25)


def test_who_has_less_time_than_the_database_may_take_opens_nothing(bench):
    for error in (DeadlineExceeded("too late"), not_connected_in_time()):
        bench.remote.script = [error] * 5
        for _ in range(5):
            assert bench.call("GET", "k", deadline_s=0.25) is None
    assert (bench.breaker.state.value, bench.breaker.failures) == ("closed", 0)
    bench.remote.script = [refused(), refused(), refused()]
    for _ in range(3):
        bench.call("GET", "k", deadline_s=0.25)
    assert bench.breaker.state.value == "open", "a connection that is refused is"


def test_waiting_for_a_place_in_the_pool_is_no_outage(bench):
    busy = [DeadlineExceeded("all 10 connections were busy", asked=False) for _ in range(5)]
    bench.remote.script = list(busy)
    assert [bench.call("GET", "k") for _ in busy] == [None] * 5
    assert (bench.breaker.state.value, bench.breaker.failures) == ("closed", 0)


def not_connected_in_time():
    error = ConnectionFailed("no connection within CONNECT_TIMEOUT (0.25 s).")
    error.__cause__ = TimeoutError()
    return error


def test_who_has_less_time_lets_others_probe_first_and_does_it_where_nobody_else_comes(bench):
    bench.go_down()
    bench.come_back()
    assert bench.call("GET", "k", deadline_s=0.25) is None
    assert bench.remote.sent == []
    bench.clock.now += 2
    bench.remote.script = [DeadlineExceeded("too late")]
    bench.call("GET", "k", deadline_s=0.25)
    assert bench.breaker.state.value == "open", "a probe has to say something"


def test_a_knock_that_meets_the_quota_opens_again(bench):
    bench.go_down()
    bench.come_back()
    bench.remote.script = [[from_reply(QUOTA)]]
    assert bench.call("GET", "k") is None
    assert bench.breaker.until - bench.clock.now >= 300


def test_a_write_whose_fate_is_unknown_is_forgotten_before_it_is_read(bench):
    bench.remote.script = [Lost(DeadlineExceeded("too late"))]
    assert bench.call("SET", "k", b"perhaps") == b"OK"
    assert bench.call("GET", "k") is None
    assert bench.remote.sent[1:] == [[("UNLINK", "k")], [("GET", "k")]]


def test_while_closed_only_the_keys_of_failed_writes_are_unlinked(bench):
    bench.remote.script = [refused()]
    bench.call("SET", "k", b"v")
    bench.journal._carried_until = bench.clock.now + 1  # somebody else carries
    bench.call("GET", "other")
    assert bench.remote.sent[1:] == [[("GET", "other")]]


@pytest.mark.parametrize("reply", ["READONLY You can't write", "NOPERM this user"])
def test_what_the_database_will_not_forget_it_is_not_asked_for(bench, reply):
    bench.remote.call("SET", "k", b"from before")
    bench.remote.script = [refused()]
    bench.call("SET", "k", b"v")
    bench.remote.script = [[from_reply(reply)]]
    assert bench.call("GET", "k") == b"v"
    assert bench.breaker.passes
    assert bench.call("GET", "k") is None, "it forgets at last"


def test_a_settling_that_fails_is_continued_by_the_next_call(bench):
    bench.go_down()
    bench.call("SET", "k", b"v")
    bench.come_back()
    bench.remote.script = [None, refused()]
    assert bench.call("GET", "k") == b"v"
    bench.come_back()
    assert bench.call("GET", "k") is None
    assert bench.remote.sent[-3:] == [[("PING",)], [("UNLINK", "k")], [("GET", "k")]]


def test_a_transactions_keys_are_unlinked_before_it_is_sent(bench):
    bench.remote.call("SET", "k", b"7")
    bench.remote.script = [refused()]
    bench.call("SET", "k", b"1")
    assert bench.send(("INCR", "k"), ("INCR", "k"), atomic=True) == [1, 2]


async def test_a_cancelled_probe_does_not_keep_the_breaker_shut():
    bench = Bench()
    bench.go_down()
    bench.come_back()

    class Hanging:
        name = "upstash-rest"

        async def asend(self, batch):
            await asyncio.Event().wait()

        async def aclose(self):
            """Nothing to close."""

    probe = asyncio.ensure_future(
        AsyncFailover(Hanging(), bench.standby).asend(Batch((("GET", "k"),)))
    )
    await asyncio.sleep(0)
    assert bench.breaker.state.value == "half_open"
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert bench.call("GET", "k") is None, "others are answered locally meanwhile"
    bench.clock.now += 3 * CONFIG.read_timeout
    bench.call("GET", "k")
    assert bench.breaker.passes


def test_a_script_counts_locally_from_nothing(bench):
    script = Script(
        "return redis.call('INCR', KEYS[1])", lambda call, keys, args: call("INCR", keys[0])
    )
    bench.remote.call("SET", "hits", b"41")
    bench.go_down()
    assert bench.call("EVAL", script, 1, "hits") == 1
    bench.come_back()
    assert bench.call("GET", "hits") is None, "neither 41 nor 1 would be right"
