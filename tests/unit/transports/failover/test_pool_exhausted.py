"""A full connection pool is no outage: the local store serves nothing, and no key becomes dirty."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import PoolExhausted
from continuum_upstash.transports.failover.failover_policy import LOG_INTERVAL

COMMANDS = [
    ("GET", "k"),
    ("SET", "k", b"new"),
    ("SET", "k", b"new", "NX"),
    ("UNLINK", "k"),
    ("INCRBY", "k", 1),
]


def exhausted():
    return PoolExhausted("connection pool exhausted: all 2 connections were busy for 2 s.")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(map(str, command[::3])))
def test_a_full_pool_is_never_served_locally(harness, command):
    harness.remote.outcomes = [None, exhausted()]
    harness.call("SET", "k", b"7")
    with pytest.raises(PoolExhausted):
        harness.call(*command)
    status = harness.policy.status
    assert (status.state, status.failures) == ("closed", 0)
    assert (status.local_replies, status.dirty_keys, status.pool_exhausted) == (0, 0, 1)
    assert harness.call("GET", "k") == b"7"


def test_a_full_pool_is_an_error_while_dirty_keys_remain(harness):
    harness.dirty_keys.mark(["k"])
    harness.remote.outcomes = [exhausted()]
    with pytest.raises(PoolExhausted):
        harness.call("SET", "k", b"new")
    assert "k" in harness.dirty_keys
    assert harness.call("GET", "k") is None


def test_a_full_pool_during_an_outage_is_served_as_any_other_call(harness):
    harness.start_outage()
    harness.end_outage()
    harness.remote.outcomes = [exhausted()]
    assert harness.call("GET", "k") is None
    assert harness.policy.status.pool_exhausted == 0
    harness.call("GET", "k")
    assert harness.breaker.is_passing


def test_a_full_pool_is_logged_once_a_minute(harness, caplog):
    for seconds in (0, 1, LOG_INTERVAL):
        harness.clock.now += seconds
        harness.remote.outcomes = [exhausted()]
        with pytest.raises(PoolExhausted):
            harness.call("GET", "k")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert harness.policy.status.pool_exhausted == 3
