"""get_or_set with options in two processes, one of which has a near cache."""

from __future__ import annotations

import pytest

from continuum_upstash.cache.early import ProtectedGetOrSet, make_protection
from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.transports.registry import Database
from tests.unit.plan_runner import codec
from tests.unit.transports.wrappers.near_server import NearServer

TAGS = ("shop:a",)
DELETE_TAG = Batch((("DEL", "continuum:tag:shop:a"),))


class Process:
    """A process that calls get_or_set; computing takes half a second.

    Attributes:
        computed: how often it has computed the value.
    """

    def __init__(self, server, send, rng=0.0):
        self._server, self._rng = server, rng
        self._runner = Runner(send, codec.encode)
        self._keyvalue = KeyValuePlans(codec, alias="near")
        self._keyvalue.envelopes.now_ms = lambda: int(server.clock.now * 1000)
        self._database = Database(Config(alias="near"))
        self.computed = 0

    def get_or_set(self, **options):
        protection = make_protection(*map(options.get, ("early", "grace", "wait")), TAGS)
        call = ProtectedGetOrSet(
            self._keyvalue,
            self._database,
            key="q:a",
            default=self._compute,
            ttl_ms=60_000,
            protection=protection,
            clock=lambda: self._server.clock.now,
            rng=lambda: self._rng,
        )
        return run(call.run(), self._runner)

    def _compute(self):
        self.computed += 1
        self._server.clock.now += 0.5
        return f"value {self._server.clock.now}"


@pytest.fixture
def server():
    return NearServer()


@pytest.fixture
def near(server):
    return Process(server, server.near.send)


@pytest.fixture
def other(server):
    return Process(server, server.send)


def test_hits_send_nothing(server, near):
    value = near.get_or_set(grace=600)
    near.get_or_set(grace=600)
    server.sent.clear()
    assert near.get_or_set(grace=600) == near.get_or_set(early=1) == value
    assert (server.sent, near.computed) == ([], 1)


def test_a_tag_that_another_process_deletes_is_seen_in_time(server, near, other):
    value = near.get_or_set(grace=600)
    near.get_or_set(grace=600)
    server.send(DELETE_TAG)
    assert other.get_or_set(grace=600) != value
    server.clock.now += 1.4  # computing took half a second
    assert near.get_or_set(grace=600) == value
    server.clock.now += 0.1
    assert near.get_or_set(grace=600) == other.get_or_set(grace=600) != value
    assert (near.computed, other.computed) == (1, 1)


def test_a_tag_that_the_process_deletes_is_seen_at_once(server, near):
    value = near.get_or_set(grace=600)
    near.get_or_set(grace=600)
    server.near.send(DELETE_TAG)
    assert near.get_or_set(grace=600) != value


def test_a_value_that_another_process_has_refreshed_is_not_refreshed_again(server, near, other):
    near.get_or_set(early=1, grace=600)
    server.clock.now += 56  # less than ten times the half second is left
    other._rng = near._rng = 0.9999
    refreshed = other.get_or_set(early=1, grace=600)
    assert near.get_or_set(early=1, grace=600) == refreshed
    assert (near.computed, other.computed) == (1, 1)


def test_an_old_value_is_refreshed_by_one_process(server, near, other):
    near.get_or_set(grace=600)
    near.get_or_set(grace=600)
    server.clock.now += 61
    assert near.get_or_set(grace=600) == other.get_or_set(grace=600)
    assert (near.computed, other.computed) == (2, 0)
