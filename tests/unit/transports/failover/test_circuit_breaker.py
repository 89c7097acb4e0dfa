"""The circuit breaker, state by state; test_circuit_breaker_model.py runs random histories."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from continuum_upstash.transports.failover.circuit_breaker import (
    MAX_RETRY_AFTER,
    REFUSED_OPEN_SECONDS,
    TRANSITIONS,
    CircuitBreaker,
    Event,
    State,
)

MAX_OPEN, PROBE_TIMEOUT = 30.0, 6.0


class BreakerHarness:
    """A breaker with a clock that a test sets, and the changes it has reported."""

    def __init__(self, jitter=0.0, max_open=MAX_OPEN):
        self.now = 1000.0
        self.changes = []
        self.breaker = CircuitBreaker(
            max_open,
            PROBE_TIMEOUT,
            lambda *change: self.changes.append(change),
            lambda: self.now,
            lambda: jitter,
        )

    def fail(self, times=1, **details):
        for _ in range(times):
            permit = self.breaker.acquire()
            self.breaker.record_failure(permit.generation, "connection refused", **details)

    def trip(self):
        self.fail(3)
        assert self.breaker.state is State.OPEN

    def start_probe(self):
        self.now = self.breaker.retry_at
        permit = self.breaker.acquire()
        assert permit.probe
        return permit

    @property
    def states(self):
        return [str(new) for _, new, _ in self.changes]


@pytest.fixture
def harness():
    return BreakerHarness()


def test_every_state_has_manual_transitions_and_is_the_target_of_some_event():
    manual = {Event.FORCED, Event.DISABLED, Event.RESET}
    assert set(TRANSITIONS) == set(State)
    assert all(manual <= set(events) for events in TRANSITIONS.values())
    assert {new for events in TRANSITIONS.values() for new in events.values()} == set(State)


def test_the_third_consecutive_failure_opens(harness):
    harness.fail(2)
    assert harness.breaker.is_passing
    harness.breaker.record_success(harness.breaker.generation)
    harness.fail(2)
    assert (harness.breaker.is_passing, harness.breaker.failures) == (True, 2)
    harness.fail()
    assert harness.breaker.acquire() is None
    assert harness.changes == [(State.CLOSED, State.OPEN, "connection refused")]


def test_a_refusal_of_all_commands_opens_at_once_and_for_minutes(harness):
    harness.fail(refused=True)
    assert harness.breaker.retry_at - harness.now == REFUSED_OPEN_SECONDS


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(None, 2.0), (1.0, 2.0), (60.0, 60.0), (1e9, MAX_RETRY_AFTER)]
)
def test_retry_after_extends_the_backoff_up_to_a_limit(harness, retry_after, expected):
    harness.fail(3, retry_after=retry_after)
    assert harness.breaker.retry_at - harness.now == expected


def test_backoffs_grow_up_to_the_maximum_and_start_again_after_a_success(harness):
    harness.trip()
    backoffs = []
    for _ in range(6):
        backoffs.append(harness.breaker.retry_at - harness.now)
        permit = harness.start_probe()
        harness.breaker.record_failure(permit.generation, "connection refused again")
    assert backoffs == [2, 4, 8, 16, 30, 30]
    harness.breaker.record_success(harness.start_probe().generation)
    assert harness.breaker.is_passing
    harness.trip()
    assert harness.breaker.retry_at - harness.now == 2


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_jitter_shortens_a_backoff_by_up_to_a_fifth(jitter):
    harness = BreakerHarness(jitter)
    harness.trip()
    assert harness.breaker.retry_at - harness.now == pytest.approx(2 * (1 - jitter / 5))


def test_no_backoff_of_an_outage_is_longer_than_the_maximum():
    harness = BreakerHarness(max_open=0.5)
    harness.trip()
    assert harness.breaker.retry_at - harness.now == 0.5


def test_one_caller_probes_and_the_others_do_not_wait(harness):
    harness.trip()
    harness.now += 1.9
    assert harness.breaker.acquire() is None
    permit = harness.start_probe()
    assert [harness.breaker.acquire() for _ in range(5)] == [None] * 5
    harness.breaker.record_success(permit.generation)
    assert harness.breaker.acquire() == (harness.breaker.generation, False)
    assert harness.states == ["open", "half_open", "closed"]


def test_a_lost_probe_is_replaced_after_the_probe_timeout(harness):
    harness.trip()
    lost = harness.start_probe()
    harness.now += PROBE_TIMEOUT
    second = harness.breaker.acquire()
    assert second.probe
    harness.breaker.record_failure(lost.generation, "a late result")
    harness.breaker.record_success(lost.generation)
    assert harness.breaker.state is State.HALF_OPEN, "the lost probe's result is ignored"
    harness.breaker.record_success(second.generation)
    assert harness.states == ["open", "half_open", "closed"]


def test_a_probe_that_is_released_is_replaced_at_once_and_its_result_is_ignored(harness):
    harness.trip()
    released = harness.start_probe()
    harness.breaker.release(released.generation)
    second = harness.breaker.acquire()
    assert second.probe
    assert harness.breaker.acquire() is None
    harness.breaker.release(released.generation)
    assert harness.breaker.acquire() is None, "a permit is released once"
    harness.breaker.record_success(released.generation)
    assert harness.breaker.state is State.HALF_OPEN
    harness.breaker.record_success(second.generation)
    assert harness.states == ["open", "half_open", "closed"]


def test_releasing_a_permit_changes_nothing_while_closed_or_open(harness):
    permit = harness.breaker.acquire()
    harness.breaker.release(permit.generation)
    assert harness.breaker.is_passing
    harness.trip()
    retry_at = harness.breaker.retry_at
    harness.breaker.release(harness.breaker.generation)
    assert (harness.breaker.state, harness.breaker.retry_at) == (State.OPEN, retry_at)


def test_results_of_earlier_calls_are_ignored(harness):
    early = harness.breaker.acquire()
    harness.trip()
    harness.breaker.record_success(early.generation)
    harness.breaker.record_failure(early.generation, "late")
    assert harness.breaker.state is State.OPEN
    harness.breaker.record_success(harness.start_probe().generation)
    harness.breaker.record_failure(early.generation, "very late")
    assert harness.breaker.failures == 0


def test_forced_open_lasts_until_reset(harness):
    harness.breaker.force_open()
    assert harness.breaker.retry_at == inf
    harness.now += 1e9
    assert harness.breaker.acquire() is None
    harness.breaker.reset()
    assert harness.breaker.is_passing
    assert harness.changes == [
        (State.CLOSED, State.FORCED_OPEN, "manual"),
        (State.FORCED_OPEN, State.CLOSED, "manual"),
    ]


def test_disabled_passes_every_call_whatever_the_results(harness):
    harness.breaker.disable()
    harness.fail(10, refused=True)
    assert harness.breaker.is_passing
    assert harness.states == ["disabled"]


@pytest.mark.parametrize("method", ["force_open", "disable", "reset"])
def test_forcing_the_same_state_twice_is_one_change(harness, method):
    getattr(harness.breaker, method)()
    changes = len(harness.changes)
    getattr(harness.breaker, method)()
    assert len(harness.changes) == changes


def test_a_probe_that_ends_after_the_breaker_was_forced_changes_nothing(harness):
    harness.trip()
    permit = harness.start_probe()
    harness.breaker.force_open()
    harness.breaker.record_success(permit.generation)
    harness.breaker.record_failure(permit.generation, "late")
    assert harness.breaker.state is State.FORCED_OPEN


def test_a_backoff_can_be_ended_early(harness):
    harness.breaker.allow_probe_now()
    assert harness.breaker.acquire() == (0, False)
    harness.trip()
    harness.breaker.allow_probe_now()
    assert harness.breaker.acquire().probe
    harness.breaker.allow_probe_now()
    assert harness.breaker.acquire() is None, "a probe is in flight"
    harness.breaker.force_open()
    harness.breaker.allow_probe_now()
    assert harness.breaker.acquire() is None, "only reset() ends a forced state"


def test_the_observer_is_called_without_the_lock(harness):
    """It may use the breaker, even from another thread that it waits for."""
    seen = []

    def acquire_in_thread(*_):
        thread = threading.Thread(target=lambda: seen.append(harness.breaker.acquire()))
        thread.start()
        thread.join(10)

    harness.breaker._on_change = acquire_in_thread
    harness.trip()
    assert seen == [None]


def test_one_of_many_threads_at_the_end_of_a_backoff_is_the_probe(harness):
    harness.trip()
    harness.now = harness.breaker.retry_at
    together = threading.Barrier(16)

    def acquire(_):
        together.wait()
        return harness.breaker.acquire()

    with ThreadPoolExecutor(16) as threads:
        permits = list(threads.map(acquire, range(16)))
    assert sum(permit is not None for permit in permits) == 1
    assert harness.states == ["open", "half_open"]
