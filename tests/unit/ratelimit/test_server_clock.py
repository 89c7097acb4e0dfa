"""The estimate of the database's time."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import Unavailable
from continuum_upstash.ratelimit.engine.limiter import _get_server_time
from continuum_upstash.ratelimit.engine.server_clock import ServerClock
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def monotonic():
    return FakeClock()


@pytest.fixture
def wall():
    return FakeClock(77.0)


@pytest.fixture
def clock(monotonic, wall):
    clock = ServerClock(monotonic=monotonic, wall=wall)
    started = clock.start_sync()
    monotonic.now += 0.2
    clock.sync(started, [b"1764000000", b"500000"])
    return clock


def advance(monotonic, wall, seconds):
    monotonic.now += seconds
    wall.now += seconds


@pytest.mark.parametrize(
    "reply", [None, "PONG", b"1764000000", [], [b"1"], [b"a", b"b"], [b"1", b"2", b"3"]]
)
def test_a_reply_of_another_form_makes_the_database_unavailable(clock, monotonic, wall, reply):
    advance(monotonic, wall, 301)  # the next check sends TIME
    plan = _get_server_time(clock, until=0.0)
    next(plan)
    with pytest.raises(Unavailable, match="unexpected reply: TIME returns two numbers"):
        plan.send([reply])


def test_the_sample_is_from_the_middle_of_the_round_trip(clock, monotonic, wall):
    assert clock.get_time() == pytest.approx(1_764_000_000_600, abs=1)
    advance(monotonic, wall, 5.0)
    assert clock.get_time() == pytest.approx(1_764_000_005_600, abs=1)


def test_a_sample_is_used_for_five_minutes(clock, monotonic, wall):
    advance(monotonic, wall, 299)
    assert clock.get_time() is not None
    advance(monotonic, wall, 2)
    assert clock.get_time() is None


@pytest.mark.parametrize("jump", [-5.0, 0.2, 3600.0])
def test_a_new_sample_is_needed_if_the_clocks_diverge(clock, wall, jump):
    wall.now += jump
    assert clock.get_time() is None


def test_the_first_sample_is_needed():
    assert ServerClock().get_time() is None
