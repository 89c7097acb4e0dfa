from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.wrappers import piggyback
from continuum_upstash.transports.wrappers.piggyback import AsyncRiding, Riding

GET, INCR = Batch([("GET", "k")]), Batch([("INCR", "k")])


class Load:
    commands = (("HSET", "h", "f", b"1"),)

    def __init__(self):
        self.replies = None

    def delivered(self, replies):
        self.replies = replies


class Rider:
    def __init__(self):
        self.load = Load()

    def offer(self, alias, backend):
        assert (alias, backend) == ("default", "upstash-rest")
        return self.load


class Transport:
    """Answers each command with its own name, after the errors that it is to raise."""

    name = "upstash-rest"

    def __init__(self, *errors):
        self.errors, self.sent = list(errors), []

    def send(self, batch):
        self.sent.append([command[0] for command in batch.commands])
        if self.errors:
            raise self.errors.pop(0)
        return [command[0].encode() for command in batch.commands]

    async def asend(self, batch):
        return self.send(batch)

    def close(self):
        self.sent.append("closed")

    async def aclose(self):
        self.close()


@pytest.fixture
def rider():
    seated = Rider()
    piggyback.seat(seated)
    yield seated
    piggyback.seat(None)


@pytest.fixture
def send(api):
    def sent(transport, batch):
        if api == "sync":
            return Riding(transport, "default").send(batch)
        return asyncio.run(AsyncRiding(transport, "default").asend(batch))

    return sent


def test_a_load_travels_along_and_its_replies_are_taken_off(send, rider):
    transport = Transport()
    assert send(transport, GET) == [b"GET"]
    assert transport.sent == [["GET", "HSET"]]
    assert rider.load.replies == [b"HSET"]


def test_nobody_rides_when_nobody_is_seated(send):
    transport = Transport()
    assert send(transport, GET) == [b"GET"]
    assert transport.sent == [["GET"]]


def test_a_transaction_carries_nothing(send, rider):
    transport = Transport()
    send(transport, Batch([("SET", "k", b"")], atomic=True))
    assert transport.sent == [["SET"]]


def test_a_read_on_a_broken_connection_is_sent_again_without_the_load(send, rider):
    transport = Transport(ConnectionFailed("reset"))
    assert send(transport, GET) == [b"GET"]
    assert transport.sent == [["GET", "HSET"], ["GET"]]
    assert rider.load.replies is None


@pytest.mark.parametrize("fails", ["offer", "delivered"])
def test_a_rider_that_fails_is_logged_and_the_call_is_not(fails, send, rider, caplog):
    def fail(*_):
        raise TypeError("the rider's own")

    setattr(rider if fails == "offer" else rider.load, fails, fail)
    assert send(Transport(), GET) == [b"GET"]
    assert [record.exc_info[0] for record in caplog.records] == [TypeError]


@pytest.mark.parametrize(
    ("batch", "error"), [(INCR, ConnectionFailed("reset")), (GET, DeadlineExceeded("late"))]
)
def test_what_may_not_be_repeated_fails_as_it_would_alone(batch, error, send, rider):
    transport = Transport(error)
    with pytest.raises(type(error)):
        send(transport, batch)
    assert transport.sent == [[batch.commands[0][0], "HSET"]]


def test_closing_closes():
    transport = Transport()
    Riding(transport, "default").close()
    asyncio.run(AsyncRiding(transport, "default").aclose())
    assert transport.sent == ["closed", "closed"]
