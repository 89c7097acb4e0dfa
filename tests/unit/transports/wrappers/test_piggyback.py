from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.wrappers import piggyback

LOAD = ("HINCRBY", "stats", "hits", 5)


class Primary:
    """Answers each command with its name; keeps the batches; fails once if told to."""

    name = "primary"

    def __init__(self, error=None):
        self.batches, self.error = [], error

    def send(self, batch):
        self.batches.append(batch)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return [command[0] for command in batch.commands]

    async def asend(self, batch):
        return self.send(batch)


class Rider:
    """Has one load, over and over; it is its own load."""

    commands = (LOAD,)

    def __init__(self):
        self.taken = []

    def offer(self, alias, backend):
        assert (alias, backend) == ("mine", "primary")
        return self

    def delivered(self, replies):
        self.taken.append(replies)


@pytest.fixture
def rider():
    rider = Rider()
    piggyback.seat(rider)
    yield rider
    piggyback.seat(None)


@pytest.fixture(params=["sync", "async"])
def send(request):
    def send(primary, batch):
        if request.param == "sync":
            return piggyback.Riding(primary, "mine").send(batch)
        return asyncio.run(piggyback.AsyncRiding(primary, "mine").asend(batch))

    return send


def test_a_load_rides_and_its_replies_are_its_own(send, rider):
    primary = Primary()
    batch = Batch((("GET", "a"), ("GET", "b")), needs_server=True, deadline_s=0.5)
    assert send(primary, batch) == ["GET", "GET"]
    assert rider.taken == [["HINCRBY"]]
    assert primary.batches == [Batch((*batch.commands, LOAD), needs_server=True, deadline_s=0.5)]


@pytest.mark.parametrize(
    "batch",
    [
        Batch((("GET", "a"), ("INCR", "b")), atomic=True),
        Batch((("SET", "a", b"\x00\xff", "PX", 5),)),
    ],
    ids=["a transaction", "a single value, which would change its form"],
)
def test_nothing_rides_where_it_would_change_what_is_sent(batch, send, rider):
    primary = Primary()
    send(primary, batch)
    assert primary.batches == [batch]
    assert not rider.taken


def test_a_repeatable_batch_is_sent_again_without_its_load(send, rider):
    primary = Primary(ConnectionFailed("gone"))
    assert send(primary, Batch((("GET", "a"),))) == ["GET"]
    assert [len(batch.commands) for batch in primary.batches] == [2, 1]
    assert not rider.taken


def test_a_batch_that_may_not_be_repeated_fails_with_its_load(send, rider):
    primary = Primary(ConnectionFailed("gone"))
    with pytest.raises(ConnectionFailed):
        send(primary, Batch((("INCR", "a"),)))
    assert len(primary.batches) == 1
    assert not rider.taken


def test_without_a_rider_a_batch_goes_as_it_is(send):
    primary, batch = Primary(), Batch((("GET", "a"),))
    send(primary, batch)
    assert primary.batches == [batch]
