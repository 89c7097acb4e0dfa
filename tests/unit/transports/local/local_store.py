"""A local store with a clock that a test sets."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.local.transport import LocalTransport


class Clock:
    ms = 1_000_000_000

    def __call__(self) -> float:
        return (self.ms + 0.5) / 1000  # mid-millisecond, so that rounding does not change it


class Store(LocalTransport):
    """The real store, with a short way to send one command."""

    def __init__(self, **bounds):
        self.clock = Clock()
        super().__init__(Config(**bounds), self.clock)

    def call(self, *command):
        (reply,) = self.send(Batch((command,)))
        return reply

    def count_keys(self):
        self._space.tick()
        return len(self._space)
