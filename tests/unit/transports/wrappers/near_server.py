"""A server in memory behind a near cache, with a clock that tests move."""

from __future__ import annotations

from types import SimpleNamespace

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.wrappers.near import NearPolicy
from continuum_upstash.transports.wrappers.near_cache import NearCache


def make_config(**fields):
    return Config(**{"alias": "near", "near": (("q:", 2.0), ("page:", 10.0)), **fields})


class NearServer:
    """
    Attributes:
        near: the sync transport of the process with the near cache.
        sent: the commands that reached the server.
        replies: what the server replies to the next batches, in place of its data.
        during: called once while the server executes a batch.
        hold: an event for which async batches wait.
    """

    name = "upstash-rest"

    def __init__(self, config=None):
        config = config or make_config()
        self.clock = SimpleNamespace(now=1000.0)
        self.policy = NearPolicy(config, FailoverPolicy(config, LocalTransport(config)))
        self.cache = NearCache(config, lambda: self.clock.now, lambda: int(self.clock.now * 1000))
        self.policy.own, self.policy.caches = self.cache, (self.cache,)
        self.near = self.policy.wrap(self)
        self.sent, self.replies, self.delay = [], [], 0.0
        self.during = self.hold = None
        self._data = LocalTransport(Config())

    def store(self, **values):
        """Store values as another process does."""
        self._data.send(Batch([("SET", key, value) for key, value in values.items()]))

    def send(self, batch):
        self.sent += batch.commands
        self.clock.now += self.delay
        if self.replies:
            reply = self.replies.pop()
            if isinstance(reply, Exception):
                raise reply
            return reply
        replies = self._data.send(Batch([each for each in batch.commands if each[0] != "PING"]))
        during, self.during = self.during, None
        if during is not None:
            during()
        return replies

    async def asend(self, batch):
        if self.hold is not None:
            await self.hold.wait()
        return self.send(batch)

    def close(self):
        pass

    async def aclose(self):
        pass
