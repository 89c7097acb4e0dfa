"""When a worker looks at a queue again, by a clock that the test sets."""

from __future__ import annotations

import math

import pytest

from continuum_upstash.federation.worker.lanes import Lane
from continuum_upstash.federation.worker.options import (
    WorkerOptions,
    compute_poll_seconds,
    estimate_idle_commands,
)
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def lane(clock):
    return Lane(None, 60, clock, rng=lambda: 0.5)


def count_looks(lane, clock, seconds, *, has_messages):
    end, looks = clock() + seconds, 0
    while lane.next_look < end:
        clock.now = max(clock.now, lane.next_look)
        looks += 1
        lane.sleep(None, has_messages=has_messages, wakes=lane.wakes)
    return looks


def test_an_idle_lane_is_polled_slowly_while_messages_arrive(lane, clock):
    assert lane.is_ready
    assert count_looks(lane, clock, 3600, has_messages=True) <= 61
    assert not lane.is_ready


def test_without_messages_the_polls_begin_quickly_and_become_slow(lane, clock):
    assert 3 <= count_looks(lane, clock, 2, has_messages=False) <= 6
    count_looks(lane, clock, 600, has_messages=False)
    assert count_looks(lane, clock, 3600, has_messages=False) <= 61
    lane.restart()
    lane.sleep(None, has_messages=False, wakes=lane.wakes)
    assert lane.next_look - clock() < 0.3


def test_a_lane_is_looked_at_when_its_next_job_is_due(lane, clock):
    lane.sleep(5, has_messages=True, wakes=lane.wakes)
    assert 5 <= lane.next_look - clock() < 5.1
    lane.sleep(500, has_messages=True, wakes=lane.wakes)
    assert lane.next_look - clock() < 67
    lane.sleep(0, has_messages=True, wakes=lane.wakes)
    assert (lane.next_look, lane.is_ready) == (clock(), True)


def test_a_message_is_a_reason_to_reserve(lane, clock):
    lane.sleep(None, has_messages=True, wakes=lane.wakes)
    lane.wake()
    assert lane.is_ready
    assert lane.next_look <= clock()


def test_a_message_during_a_look_is_not_forgotten(lane):
    wakes = lane.wakes
    lane.wake()
    lane.sleep(None, has_messages=True, wakes=wakes)
    assert (lane.is_ready, lane.next_look) == (True, -math.inf)
    lane.sleep(None, has_messages=True, wakes=lane.wakes)
    assert not lane.is_ready


@pytest.mark.parametrize("queues", [1, 2, 3, 10, 100])
def test_an_idle_worker_costs_at_most_20_cents_a_month(queues):
    assert estimate_idle_commands(queues) <= 2_800
    assert estimate_idle_commands(queues) * 31 * 0.20 / 100_000 <= 0.20
    handlers = dict.fromkeys(map(str, range(queues)), print)
    assert WorkerOptions(handlers=handlers).poll_seconds == compute_poll_seconds(queues) >= 60
