"""The limiter's own circuit breaker, which opens after time-outs of checks."""

from __future__ import annotations

from asyncio import CancelledError

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded, ReplyError, Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.ratelimit.engine.breaker import LimiterBreaker

TIMED_OUT = DeadlineExceeded("no reply within this batch's deadline (0.25 s).")


class BreakerHarness:
    """A breaker, a clock, and a transport that takes 0.25 s and fails on request."""

    def __init__(self):
        self.now = 1000.0
        self.sent = 0
        self.error = None
        self.breaker = LimiterBreaker(Config(), lambda: self.now)
        self.runner = Runner(self.send)

    def send(self, batch):
        self.sent += 1
        self.now += 0.25
        if self.error is not None:
            raise self.error
        return [b"OK"]

    def plan(self):
        return (yield Batch((("PING",),)))

    def call(self, error=None):
        self.error = error
        return run(self.breaker.guard(self.plan()), self.runner)

    def fail(self, error=TIMED_OUT, times=1):
        for _ in range(times):
            with pytest.raises(type(error)):
                self.call(error)


@pytest.fixture
def harness():
    return BreakerHarness()


def test_three_timeouts_in_a_row_open_it(harness):
    harness.fail(times=3)
    with pytest.raises(
        Unavailable,
        match=r"circuit breaker is open, next attempt in [12] s: no reply within this batch's",
    ):
        harness.call()
    assert harness.sent == 3


def test_the_next_attempt_closes_it(harness):
    harness.fail(times=3)
    harness.now += 2
    assert harness.call() == [b"OK"]
    harness.fail(times=2)
    assert harness.call() == [b"OK"], "two timeouts in a row do not open it"


@pytest.mark.parametrize("error", [ConnectionFailed("refused"), ReplyError("ERR script")])
def test_errors_other_than_timeouts_do_not_open_it(harness, error):
    harness.fail(error, times=10)
    assert harness.sent == 10


def test_a_connect_timeout_counts_as_a_timeout(harness):
    error = ConnectionFailed("no connection within CONNECT_TIMEOUT")
    error.__cause__ = TimeoutError()
    harness.fail(error, times=3)
    with pytest.raises(Unavailable, match="circuit breaker is open"):
        harness.call()


def test_the_attempt_after_a_cancelled_one_is_not_delayed(harness):
    harness.fail(times=3)
    harness.now += 2
    plan = harness.breaker.guard(harness.plan())
    next(plan)
    with pytest.raises(CancelledError):
        plan.throw(CancelledError())
    assert harness.call() == [b"OK"]


def test_concurrent_timeouts_count_once(harness):
    plans = [harness.breaker.guard(harness.plan()) for _ in range(8)]
    for plan in plans:
        next(plan)
    harness.now += 0.3
    for plan in plans:
        with pytest.raises(DeadlineExceeded):
            plan.throw(TIMED_OUT)
    assert harness.call() == [b"OK"]
