"""A database that a test can break, and what stands in for it: real stores, real failover."""

from __future__ import annotations

import asyncio

from continuum_upstash.config.credentials import Secret
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.policy import Standby
from continuum_upstash.transports.failover.transport import AsyncFailover, Failover
from continuum_upstash.transports.local.transport import Local
from tests.unit.transports.local.local_store import Store

CONFIG = Config(
    alias="shop", mode="rest", rest_url="https://db.upstash.io", token=Secret("s3cret-token")
)
QUOTA = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000."


class Clock:
    """Monotonic seconds that a test moves."""

    now = 1_000.0

    def __call__(self):
        return self.now


class Remote(Store):
    """The database's side: a store that fails when its script says so.

    Attributes:
        script: what happens to the next batches: an exception is raised before it runs, a list is
            returned in its place, `after(error)` is raised once it ran, None lets it run. Batches
            beyond the script run, or are refused while it is `down`.
        sent: the commands of each batch that came.
    """

    name = "upstash-rest"

    def __init__(self):
        super().__init__()
        self.script = []
        self.sent = []
        self.down = False

    def send(self, batch):
        self.sent.append(list(batch.commands))
        fate = self.script.pop(0) if self.script else self.down and refused()
        if isinstance(fate, Exception):
            raise fate
        if isinstance(fate, list):
            return fate
        replies = super().send(batch)
        if isinstance(fate, Lost):
            raise fate.error
        return replies

    async def asend(self, batch):
        return self.send(batch)


class Lost:
    """The batch runs and its reply gets lost."""

    def __init__(self, error):
        self.error = error


def refused():
    return ConnectionFailed(f"{CONFIG.label}: cannot connect: Connection refused.", unsent=True)


class Bench:
    """A database behind its failover, a clock that a test moves, and a short way to call."""

    def __init__(self, api="sync", config=CONFIG):
        self.clock = Clock()
        self.remote = Remote()
        self.standby = Standby(config, Local(config), self.clock, lambda: 0.0)
        self.breaker, self.journal = self.standby.breaker, self.standby.journal
        self._sync = Failover(self.remote, self.standby)
        self._async = AsyncFailover(self.remote, self.standby)
        self._api = api

    def send(self, *commands, **kinds):
        batch = Batch(commands, **kinds)
        if self._api == "sync":
            return self._sync.send(batch)
        return asyncio.run(self._async.asend(batch))

    def call(self, *command, **kinds):
        (reply,) = self.send(command, **kinds)
        return reply

    def go_down(self):
        """Have the database fail until the breaker is open."""
        self.remote.down = True
        while self.breaker.passes:
            self.call("GET", "whatever")
        self.remote.sent.clear()

    def come_back(self):
        """Have the database answer, once the break is over."""
        self.remote.down = False
        self.clock.now = self.breaker.until
