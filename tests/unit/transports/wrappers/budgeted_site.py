"""A database with a budget, and processes that share it, with a clock that a test sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from continuum_upstash.config.budget import parse_budget
from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.billing import count_all_billed
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import (
    AsyncFailoverTransport,
    FailoverTransport,
)
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.wrappers.budget_month import make_budget_key
from continuum_upstash.transports.wrappers.guarded import (
    AsyncGuardedTransport,
    GuardedTransport,
    make_guard,
)
from tests.unit.fake_clock import FakeClock

START = datetime(2026, 8, 10, tzinfo=UTC)
KEY = make_budget_key(START)
GET = ("GET", "k")
SESSION = ("GET", "continuum:session::0123")
UNTIL_HARD = {"SOFT": 1, "NEAR": 1, "ESSENTIAL": 1, "HARD": 1}


class Server:
    """
    Attributes:
        sent: the commands that reached it.
        billed: how many of them the service bills.
        outcomes: exceptions or replies of the next batches, in place of its own.
        down: raised for each batch, or None.
    """

    name = "upstash-rest"

    def __init__(self):
        self.sent, self.billed, self.outcomes, self.down = [], 0, [], None
        self._data = LocalTransport(Config())

    def send(self, batch):
        outcome = self.outcomes.pop(0) if self.outcomes else self.down
        if isinstance(outcome, Exception):
            raise outcome
        replies = outcome or self._data.send(batch)
        self.sent += batch.commands
        self.billed += count_all_billed(batch.commands, replies)
        return replies

    async def asend(self, batch):
        await asyncio.sleep(0)
        return self.send(batch)

    def call(self, *command):
        """Run a command as a program without a budget does."""
        (reply,) = self._data.send(Batch((command,)))
        return reply

    def close(self):
        pass


class Process:
    """A process with its own guard, failover and local store."""

    def __init__(self, server, clock, budget, api="sync", *, rng=lambda: 0.0, near=None, **config):
        self.config = Config(alias="shop", mode="rest", budget=parse_budget(budget), **config)
        self.policy = FailoverPolicy(self.config, LocalTransport(self.config))
        self.guard = make_guard(self.config, self.policy, lambda: near, lambda: self.source)
        self.guard._clock, self.guard._rng = clock, rng
        self.source = None
        self.policy.budget = self.guard
        self._sync = FailoverTransport(GuardedTransport(server, self.guard), self.policy)
        self._async = AsyncFailoverTransport(AsyncGuardedTransport(server, self.guard), self.policy)
        self._api = api

    def send(self, *commands, **attributes):
        batch = Batch(commands, **attributes)
        if self._api == "sync":
            return self._sync.send(batch)
        return asyncio.run(self._async.asend(batch))

    def call(self, *command, **attributes):
        (reply,) = self.send(command, **attributes)
        return reply

    async def acall(self, *command, **attributes):
        (reply,) = await self._async.asend(Batch((command,), **attributes))
        return reply

    @property
    def stage(self):
        return self.guard.stage


class Site:
    """A server and a clock, and processes with one budget."""

    def __init__(self, api="sync"):
        self.server, self.clock, self._api = Server(), FakeClock(START.timestamp()), api

    def start_process(self, budget, **options):
        return Process(self.server, self.clock, budget, self._api, **options)

    def read_counter(self):
        return int(self.server.call("GET", KEY) or 0)


def is_sent(site, process, *command, **attributes):
    """Return whether a command reaches the server; otherwise the local store serves it."""
    before = len(site.server.sent)
    process.call(*command, **attributes)
    return command in site.server.sent[before:]


def call_until(process, stage, *command, **attributes):
    for _ in range(10_000):
        if process.stage == stage:
            return
        process.call(*command, **attributes)
    pytest.fail(f"the stage is still {process.stage}")


class FakeSource:
    month = regions = 0

    def count_commands(self, alias, dollars):
        assert alias == "shop"
        return round(dollars * 50_000)

    def count_regions(self, alias):
        assert alias == "shop"
        return self.regions

    def count_month(self, alias):
        assert alias == "shop"
        if isinstance(self.month, Exception):
            raise self.month
        return self.month
        yield
