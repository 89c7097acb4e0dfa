"""The breaker, by walking its table; test_breaker_model.py wanders through it at random."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from continuum_upstash.transports.failover.breaker import (
    LONGEST_BREAK,
    NEXT,
    REFUSAL_BREAK,
    Breaker,
    Event,
    State,
)

CEILING, LEASE = 30.0, 6.0


class Bench:
    """A breaker with a clock that a test moves, and what it told."""

    def __init__(self, chance=0.0, ceiling=CEILING):
        self.now = 1000.0
        self.told = []
        self.breaker = Breaker(
            ceiling,
            LEASE,
            lambda *change: self.told.append(change),
            lambda: self.now,
            lambda: chance,
        )

    def fail(self, times=1, **details):
        for _ in range(times):
            ticket = self.breaker.admit()
            self.breaker.failed(ticket.era, "nobody there", **details)

    def trip(self):
        self.fail(3)
        assert self.breaker.state is State.OPEN

    def wait_for_probe(self):
        self.now = self.breaker.until
        ticket = self.breaker.admit()
        assert ticket.probe
        return ticket

    @property
    def states(self):
        return [str(new) for _, new, _ in self.told]


@pytest.fixture
def bench():
    return Bench()


def test_every_state_can_be_left_by_hand_and_is_reached_by_some_event():
    by_hand = {Event.FORCED, Event.SWITCHED_OFF, Event.RESET}
    assert set(NEXT) == set(State)
    assert all(by_hand <= set(events) for events in NEXT.values())
    assert {new for events in NEXT.values() for new in events.values()} == set(State)


def test_the_third_failure_in_a_row_opens(bench):
    bench.fail(2)
    assert bench.breaker.passes
    bench.breaker.succeeded(bench.breaker.era)
    bench.fail(2)
    assert (bench.breaker.passes, bench.breaker.failures) == (True, 2)
    bench.fail()
    assert bench.breaker.admit() is None
    assert bench.told == [(State.CLOSED, State.OPEN, "nobody there")]


def test_a_refusal_of_everything_opens_at_once_and_for_long(bench):
    bench.fail(refused=True)
    assert bench.breaker.until - bench.now == REFUSAL_BREAK


@pytest.mark.parametrize(
    ("asked_for", "expected"), [(None, 2.0), (1.0, 2.0), (60.0, 60.0), (1e9, LONGEST_BREAK)]
)
def test_a_break_lasts_as_long_as_the_database_asks_for_within_reason(bench, asked_for, expected):
    bench.fail(3, retry_after=asked_for)
    assert bench.breaker.until - bench.now == expected


def test_breaks_grow_up_to_the_ceiling_and_start_anew_after_a_success(bench):
    bench.trip()
    breaks = []
    for _ in range(6):
        breaks.append(bench.breaker.until - bench.now)
        ticket = bench.wait_for_probe()
        bench.breaker.failed(ticket.era, "still nobody there")
    assert breaks == [2, 4, 8, 16, 30, 30]
    bench.breaker.succeeded(bench.wait_for_probe().era)
    assert bench.breaker.passes
    bench.trip()
    assert bench.breaker.until - bench.now == 2


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_chance_shortens_a_break_by_up_to_a_fifth(chance):
    bench = Bench(chance)
    bench.trip()
    assert bench.breaker.until - bench.now == pytest.approx(2.0 * (1 - chance / 5))


def test_no_break_of_an_outage_is_longer_than_the_ceiling():
    bench = Bench(ceiling=0.5)
    bench.trip()
    assert bench.breaker.until - bench.now == 0.5


def test_one_caller_probes_and_the_others_do_not_wait(bench):
    bench.trip()
    bench.now += 1.9
    assert bench.breaker.admit() is None
    ticket = bench.wait_for_probe()
    assert [bench.breaker.admit() for _ in range(5)] == [None] * 5
    bench.breaker.succeeded(ticket.era)
    assert bench.breaker.admit() == (bench.breaker.era, False)
    assert bench.states == ["open", "half_open", "closed"]


def test_a_lost_probe_frees_its_place_when_its_lease_ends(bench):
    bench.trip()
    lost = bench.wait_for_probe()
    bench.now += LEASE
    second = bench.breaker.admit()
    assert second.probe
    bench.breaker.failed(lost.era, "reported at last")
    bench.breaker.succeeded(lost.era)
    assert bench.breaker.state is State.HALF_OPEN, "the lost one's report counts for nothing"
    bench.breaker.succeeded(second.era)
    assert bench.states == ["open", "half_open", "closed"]


def test_reports_of_calls_from_before_count_for_nothing(bench):
    early = bench.breaker.admit()
    bench.trip()
    bench.breaker.succeeded(early.era)
    bench.breaker.failed(early.era, "late")
    assert bench.breaker.state is State.OPEN
    bench.breaker.succeeded(bench.wait_for_probe().era)
    bench.breaker.failed(early.era, "very late")
    assert bench.breaker.failures == 0


def test_forced_open_lasts_until_reset(bench):
    bench.breaker.force_open()
    assert bench.breaker.until == inf
    bench.now += 1e9
    assert bench.breaker.admit() is None
    bench.breaker.reset()
    assert bench.breaker.passes
    assert bench.told == [
        (State.CLOSED, State.FORCED_OPEN, "by hand"),
        (State.FORCED_OPEN, State.CLOSED, "by hand"),
    ]


def test_disabled_asks_whatever_happens(bench):
    bench.breaker.disable()
    bench.fail(10, refused=True)
    assert bench.breaker.passes
    assert bench.states == ["disabled"]


@pytest.mark.parametrize("method", ["force_open", "disable", "reset"])
def test_doing_by_hand_what_is_done_already_is_no_change(bench, method):
    getattr(bench.breaker, method)()
    told = len(bench.told)
    getattr(bench.breaker, method)()
    assert len(bench.told) == told


def test_a_probe_that_ends_after_the_breaker_was_forced_changes_nothing(bench):
    bench.trip()
    ticket = bench.wait_for_probe()
    bench.breaker.force_open()
    bench.breaker.succeeded(ticket.era)
    bench.breaker.failed(ticket.era, "late")
    assert bench.breaker.state is State.FORCED_OPEN


def test_a_break_can_be_ended_early(bench):
    bench.breaker.end_break()
    assert bench.breaker.admit() == (0, False)
    bench.trip()
    bench.breaker.end_break()
    assert bench.breaker.admit().probe
    bench.breaker.end_break()
    assert bench.breaker.admit() is None, "somebody is trying already"
    bench.breaker.force_open()
    bench.breaker.end_break()
    assert bench.breaker.admit() is None, "only reset() ends what was forced"


def test_observers_are_told_without_the_lock(bench):
    """An observer may ask the breaker, even from another thread that it waits for."""
    seen = []

    def ask_elsewhere(*_):
        thread = threading.Thread(target=lambda: seen.append(bench.breaker.admit()))
        thread.start()
        thread.join(10)

    bench.breaker._tell = ask_elsewhere
    bench.trip()
    assert seen == [None]


def test_of_many_threads_at_the_end_of_a_break_one_is_the_probe(bench):
    bench.trip()
    bench.now = bench.breaker.until
    together = threading.Barrier(16)

    def come(_):
        together.wait()
        return bench.breaker.admit()

    with ThreadPoolExecutor(16) as threads:
        tickets = list(threads.map(come, range(16)))
    assert sum(ticket is not None for ticket in tickets) == 1
    assert bench.states == ["open", "half_open"]
