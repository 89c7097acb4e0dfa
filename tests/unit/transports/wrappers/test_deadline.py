"""Time-outs of a batch's own deadline are marked, so that the circuit breaker ignores them."""

from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    PoolExhausted,
    ReplyError,
    Unavailable,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import FailoverTransport
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.wrappers.deadline import (
    AsyncDeadlineTransport,
    DeadlineTransport,
)
from tests.unit.transports.failover.failover_harness import CONFIG

GET = (("GET", "k"),)


class Failing:
    """A transport that raises one error."""

    name = "upstash-rest"

    def __init__(self, error):
        self.error = error

    def send(self, batch):
        raise self.error

    async def asend(self, batch):
        raise self.error

    def close(self):
        """There is nothing to close."""


class Slow:
    """An async transport that never replies."""

    name = "upstash-rest"

    async def asend(self, batch):
        await asyncio.Event().wait()


def read_timeout():
    return DeadlineExceeded("no complete reply within READ_TIMEOUT (2 s).")


def connect_timeout():
    error = ConnectionFailed("no connection within CONNECT_TIMEOUT (1 s).", unsent=True)
    error.__cause__ = TimeoutError()
    return error


def send(error, deadline_s):
    with pytest.raises(Exception) as raised:
        DeadlineTransport(Failing(error), CONFIG).send(Batch(GET, deadline_s=deadline_s))
    return raised.value


@pytest.mark.parametrize("error", [read_timeout(), connect_timeout()])
def test_a_timeout_under_an_own_deadline_is_no_outage(error):
    raised = send(error, 0.25)
    assert (type(raised), raised.is_outage) == (DeadlineExceeded, False)
    assert str(raised) == f"{CONFIG.label}: no reply within this batch's deadline (0.25 s)."
    assert raised.__cause__ is error


@pytest.mark.parametrize("error", [read_timeout(), connect_timeout()])
@pytest.mark.parametrize("deadline_s", [None, CONFIG.read_timeout, 10.0])
def test_other_timeouts_are_the_databases(error, deadline_s):
    assert send(error, deadline_s) is error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionFailed("connection refused"),
        Unavailable("HTTP 502"),
        ReplyError("WRONGTYPE"),
        PoolExhausted("all 10 connections were busy"),
    ],
)
def test_other_errors_stay_what_they_are(error):
    assert send(error, 0.25) is error


async def test_the_async_twin_ends_the_wait_itself():
    transport = AsyncDeadlineTransport(Slow(), CONFIG)
    with pytest.raises(DeadlineExceeded, match=r"this batch's deadline \(0\.01 s\)") as raised:
        await transport.asend(Batch(GET, deadline_s=0.01))
    assert not raised.value.is_outage


def test_own_deadlines_never_open_the_breaker_but_refused_connections_do():
    policy = FailoverPolicy(CONFIG, LocalTransport(CONFIG))

    def send_with_deadline(error):
        primary = DeadlineTransport(Failing(error), CONFIG)
        with pytest.raises(type(error)):
            FailoverTransport(primary, policy).send(Batch(GET, needs_server=True, deadline_s=0.25))

    for _ in range(5):
        send_with_deadline(read_timeout())
    assert (policy.breaker.is_passing, policy.breaker.failures) == (True, 0)
    for _ in range(3):
        send_with_deadline(ConnectionFailed("connection refused"))
    assert not policy.breaker.is_passing
