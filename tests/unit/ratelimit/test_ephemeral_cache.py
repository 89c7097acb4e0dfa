"""What a process remembers: who was refused, and what time it is."""

from __future__ import annotations

import pytest

from continuum_upstash.ratelimit.engine.ephemeral_cache import Denials
from continuum_upstash.ratelimit.engine.script import Charge
from continuum_upstash.ratelimit.engine.server_clock import Clock
from continuum_upstash.ratelimit.policy import make


class Time:
    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def denials(time):
    return Denials(size=3, clock=time)


def charge(storage="a", limit=5, cost=1, rate="5/m", algorithm="strict"):
    return Charge(make("p", {"rate": rate, "algorithm": algorithm}), storage, cost, limit)


def test_a_refusal_is_known_until_exactly_its_end(denials, time):
    denials.note(charge(), 2.0)
    time.now += 1.5
    assert denials.find(charge()) == 0.5
    time.now += 0.5
    assert denials.find(charge()) == 0.0
    assert len(denials) == 0


def test_what_costs_less_may_fit_yet(denials):
    denials.note(charge(cost=3), 2.0)
    assert [denials.find(charge(cost=cost)) for cost in (2, 3, 4)] == [0.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "other", [{"limit": 6}, {"rate": "5/s"}, {"algorithm": "fixed"}, {"storage": "b"}]
)
def test_what_is_counted_otherwise_is_another_matter(denials, other):
    denials.note(charge(), 2.0)
    assert denials.find(charge(**other)) == 0.0


def test_a_long_refusal_is_asked_for_once_a_minute_and_told_in_full(denials, time):
    denials.note(charge(), 3600.0)
    time.now += 59
    assert denials.find(charge()) == 3541.0
    time.now += 1
    assert denials.find(charge()) == 0.0


def test_the_memory_is_bounded_and_forgets_the_oldest(denials):
    for name in "abcd":
        denials.note(charge(name), 2.0)
    assert [denials.find(charge(name)) for name in "abcd"] == [0.0, 2.0, 2.0, 2.0]
    assert len(denials) == 3


def test_a_reset_is_forgotten_under_every_limit(denials):
    denials.note(charge(limit=5), 2.0)
    denials.note(charge(limit=6), 2.0)
    denials.forget("a")
    assert len(denials) == 0


@pytest.fixture
def wall():
    return Time(77.0)


@pytest.fixture
def clock(time, wall):
    clock = Clock(steady=time, wall=wall)
    sent = clock.mark()
    time.now += 0.2
    clock.learn(sent, [b"1764000000", b"500000"])
    return clock


def both(time, wall, seconds):
    time.now += seconds
    wall.now += seconds


def test_the_time_is_that_of_the_middle_of_the_round_trip_and_goes_on(clock, time, wall):
    assert clock.read() == pytest.approx(1_764_000_000_600, abs=1)
    both(time, wall, 5.0)
    assert clock.read() == pytest.approx(1_764_000_005_600, abs=1)


def test_the_time_is_asked_for_every_five_minutes(clock, time, wall):
    both(time, wall, 299)
    assert clock.read() is not None
    both(time, wall, 2)
    assert clock.read() is None


@pytest.mark.parametrize("jump", [-5.0, 0.2, 3600.0])
def test_the_time_is_asked_for_after_the_clock_was_set_or_the_process_frozen(clock, wall, jump):
    wall.now += jump
    assert clock.read() is None


def test_nobody_knows_the_time_before_it_was_asked_for():
    assert Clock().read() is None
