"""How much of a batch's time is left, by a clock that the test sets."""

from __future__ import annotations

import pytest

from continuum_upstash.transports.base import Deadline
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock(100.0)


@pytest.mark.parametrize(("own", "seconds"), [(None, 2.0), (0.5, 0.5), (9.0, 2.0)])
def test_the_shorter_timeout_applies(own, seconds, clock):
    deadline = Deadline(2.0, own, clock)
    assert (deadline.seconds, deadline.at, deadline.get_remaining()) == (
        seconds,
        100 + seconds,
        seconds,
    )


def test_time_runs_out(clock):
    deadline = Deadline(2.0, clock=clock)
    clock.now += 1.5
    assert deadline.get_remaining() == 0.5
    clock.now += 0.5
    with pytest.raises(TimeoutError):
        deadline.get_remaining()


@pytest.mark.parametrize(("own", "remaining"), [(None, 2.0), (2.0, 1.0)])
def test_only_read_timeout_is_extended(own, remaining, clock):
    deadline = Deadline(2.0, own, clock)
    clock.now += 1.0
    deadline.extend(1.0)
    assert deadline.get_remaining() == remaining


@pytest.mark.parametrize(("own", "limit"), [(None, 1.0), (1.5, 0.5), (9.0, 1.0)])
def test_only_a_batchs_own_deadline_limits_another_timeout(own, limit, clock):
    deadline = Deadline(2.0, own, clock)
    clock.now += 1.0
    assert deadline.limit(1.0) == limit
