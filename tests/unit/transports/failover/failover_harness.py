"""A database whose failures a test controls, behind the real failover and a real local store."""

from __future__ import annotations

import asyncio

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import (
    AsyncFailoverTransport,
    FailoverTransport,
)
from continuum_upstash.transports.local.transport import LocalTransport
from tests.unit.fake_clock import FakeClock
from tests.unit.transports.local.local_store import Store

CONFIG = Config(
    alias="shop", mode="rest", rest_url="https://db.upstash.io", token=Secret("s3cret-token")
)
QUOTA = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000."


class Remote(Store):
    """The database: a store that fails as its list of outcomes says.

    Attributes:
        outcomes: what happens to the next batches. An exception is raised before the batch runs, a
            list is returned in place of its replies, the error of a `ReplyLost` is raised after it
            ran, None: it runs. Further batches run, or are refused while the database is
            `down`.
        sent: the commands of each batch received.
    """

    name = "upstash-rest"

    def __init__(self):
        super().__init__()
        self.outcomes = []
        self.sent = []
        self.down = False

    def send(self, batch):
        self.sent.append(list(batch.commands))
        outcome = self.outcomes.pop(0) if self.outcomes else self.down and refused()
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, list):
            return outcome
        replies = super().send(batch)
        if isinstance(outcome, ReplyLost):
            raise outcome.error
        return replies

    async def asend(self, batch):
        return self.send(batch)


class ReplyLost:
    """The batch runs, but its reply does not arrive."""

    def __init__(self, error):
        self.error = error


def refused():
    return ConnectionFailed(f"{CONFIG.label}: cannot connect: Connection refused.", unsent=True)


class FailoverHarness:
    """A database behind its failover, with a clock that a test sets and short ways to call it."""

    def __init__(self, api="sync", config=CONFIG):
        self.clock = FakeClock()
        self.remote = Remote()
        self.policy = FailoverPolicy(config, LocalTransport(config), self.clock, lambda: 0.0)
        self.breaker, self.dirty_keys = self.policy.breaker, self.policy.dirty_keys
        self._sync = FailoverTransport(self.remote, self.policy)
        self._async = AsyncFailoverTransport(self.remote, self.policy)
        self._api = api

    def send(self, *commands, **attributes):
        batch = Batch(commands, **attributes)
        if self._api == "sync":
            return self._sync.send(batch)
        return asyncio.run(self._async.asend(batch))

    def call(self, *command, **attributes):
        (reply,) = self.send(command, **attributes)
        return reply

    def start_outage(self):
        """Let the database fail until the breaker is open."""
        self.remote.down = True
        while self.breaker.is_passing:
            self.call("GET", "any")
        self.remote.sent.clear()

    def end_outage(self):
        """Let the database reply, and set the clock to the end of the backoff."""
        self.remote.down = False
        self.clock.now = self.breaker.retry_at
