"""A store under a clock of the test, and the limiter's command for it."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.script import Charge, command, read
from continuum_upstash.transports.local.transport import LocalTransport


def charges_for(policies, cost, who="somebody"):
    return [Charge(each, each.storage("", who), cost, each.limit) for each in policies]


class Store:
    """Milliseconds in `now`; it begins at the start of a window of any length."""

    def __init__(self):
        self.now = 1_764_000_000_000
        self._local = LocalTransport(Config(), clock=lambda: self.now / 1000)

    def check(self, policies, cost, who="somebody"):
        charges = charges_for(policies, cost, who)
        sent = command(charges, self.now, servers_clock=False, by_hash=True)
        (reply,) = self._local.send(Batch((sent,)))
        return read(charges, reply)

    def keys(self):
        (reply,) = self._local.send(Batch((("SCAN", 0, "COUNT", 1000),)))
        return sorted(reply[1])

    def dump(self):
        """Everything that is stored, and until when."""
        dumped = {}
        for key in self.keys():
            name = key.decode()
            (kind,) = self._local.send(Batch((("TYPE", name),)))
            get = ("GET", name) if kind == b"string" else ("HGETALL", name)
            dumped[name] = self._local.send(Batch((get, ("PEXPIRETIME", name))))
        return dumped
