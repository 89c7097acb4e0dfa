"""The local store with a clock of the test, and the limiter's command for it."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.script import Charge, build_command, parse_reply
from continuum_upstash.transports.local.transport import LocalTransport


def build_charges(policies, cost, identity="client"):
    return [
        Charge(each, each.build_key_prefix("", identity), cost, each.limit) for each in policies
    ]


class ScriptStore:
    """Runs the limiter's script on the local store.

    `now` is in milliseconds; at first it is the start of a window of any length.
    """

    def __init__(self):
        self.now = 1_764_000_000_000
        self._local = LocalTransport(Config(), clock=lambda: self.now / 1000)

    def check(self, policies, cost, identity="client", skew=0):
        """Return the result; `skew` is what the caller's clock is ahead, in milliseconds."""
        charges = build_charges(policies, cost, identity)
        command = build_command(charges, self.now + skew, use_server_clock=False, by_hash=True)
        (reply,) = self._local.send(Batch((command,)))
        return parse_reply(charges, reply)

    def keys(self):
        (reply,) = self._local.send(Batch((("SCAN", 0, "COUNT", 1000),)))
        return sorted(reply[1])

    def dump(self):
        """Return the value and the expiry time of each key."""
        dumped = {}
        for key in self.keys():
            name = key.decode()
            (kind,) = self._local.send(Batch((("TYPE", name),)))
            get = ("GET", name) if kind == b"string" else ("HGETALL", name)
            dumped[name] = self._local.send(Batch((get, ("PEXPIRETIME", name))))
        return dumped
