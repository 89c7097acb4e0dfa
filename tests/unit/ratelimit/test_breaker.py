"""The limiter's own breaker: what a database that is too slow for it costs a site."""

from __future__ import annotations

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded, ReplyError, Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.ratelimit.engine.breaker import Patience

TOO_LATE = DeadlineExceeded("no reply within the 0.25 s that this one could wait.")


class Bench:
    def __init__(self):
        self.now = 1000.0
        self.sent = 0
        self.fate = None
        self.patience = Patience(Config(), lambda: self.now)
        self.runner = Runner(self.send)

    def send(self, batch):
        self.sent += 1
        self.now += 0.25
        if self.fate is not None:
            raise self.fate
        return [b"OK"]

    def plan(self):
        return (yield Batch((("PING",),)))

    def ask(self, fate=None):
        self.fate = fate
        return run(self.patience.asking(self.plan()), self.runner)

    def fail(self, error=TOO_LATE, times=1):
        for _ in range(times):
            with pytest.raises(type(error)):
                self.ask(error)


@pytest.fixture
def bench():
    return Bench()


def test_three_time_outs_in_a_row_spare_the_next_ones_the_wait(bench):
    bench.fail(times=3)
    with pytest.raises(
        Unavailable, match=r"is not asked for [12] s more: no reply within the 0.25"
    ):
        bench.ask()
    assert bench.sent == 3


def test_it_is_asked_again_after_the_break(bench):
    bench.fail(times=3)
    bench.now += 2
    assert bench.ask() == [b"OK"]
    bench.fail(times=2)
    assert bench.ask() == [b"OK"], "two in a row are no three"


@pytest.mark.parametrize("error", [ConnectionFailed("refused"), ReplyError("ERR script")])
def test_what_is_no_time_out_is_left_to_the_database_s_own_breaker(bench, error):
    bench.fail(error, times=10)
    assert bench.sent == 10


def test_a_connection_that_was_not_made_in_time_is_one(bench):
    error = ConnectionFailed("no connection within CONNECT_TIMEOUT")
    error.__cause__ = TimeoutError()
    bench.fail(error, times=3)
    with pytest.raises(Unavailable, match="is not asked"):
        bench.ask()


def test_what_one_pause_made_fail_together_has_failed_once(bench):
    together = [bench.patience.asking(bench.plan()) for _ in range(8)]
    for asking in together:
        next(asking)
    bench.now += 0.3
    for asking in together:
        with pytest.raises(DeadlineExceeded):
            asking.throw(TOO_LATE)
    assert bench.ask() == [b"OK"]
