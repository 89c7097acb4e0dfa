"""Runs calls of get_or_set with stampede protection and tags, against canned replies."""

from __future__ import annotations

from types import SimpleNamespace

from continuum_upstash.cache.early import Computations, ProtectedGetOrSet, make_protection
from continuum_upstash.codec.envelope import Envelope, pack_envelope, unpack_envelope
from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.plans.effects import Batch, Compute, Encode, SingleFlight, Sleep
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.transports.database_state import Extras
from tests.unit.plan_runner import codec

KEY, LEASE, TAG = "k", "continuum:lease:k", "continuum:tag:p:a"
NOW = 1_000_000
TOKEN, OTHER = b"0123456789ab", b"ba9876543210"
OLD, NEW = codec.encode("old"), codec.encode("new")


class Clock:
    """Unix milliseconds and monotonic seconds; computing takes 2 seconds."""

    def __init__(self):
        self.seconds = 0.0

    def now_ms(self):
        return NOW + round(self.seconds * 1000)

    def monotonic(self):
        return self.seconds


class Call:
    """Runs one call of get_or_set; `sent` are its commands, `slept` its pauses.

    Args:
        rng: what each random number is; 0: no jitter, no early refresh.
        seconds_per_batch: what a round trip takes.

    Attributes:
        shared: what another caller of the process has found.
    """

    def __init__(self, *, rng=0.0, seconds_per_batch=0.001, supported=True):
        self.clock, self.rng = Clock(), rng
        self.seconds_per_batch = seconds_per_batch
        self.database = SimpleNamespace(
            config=Config(alias="test"),
            conditional_commands=ConditionalCommands(supported=supported),
            extras=Extras(),
        )
        self.computations = self.database.extras.get(Computations)
        self.keyvalue = KeyValuePlans(codec, alias="test")
        self.keyvalue.envelopes.now_ms = self.clock.now_ms
        self.sent, self.slept, self.computed = [], [], 0
        self.shared = None

    def run(self, *replies, default="new", ttl_ms=60_000, tags=(), **options):
        self.remaining = list(replies)
        self.default = default
        plan = ProtectedGetOrSet(
            self.keyvalue,
            self.database,
            key=KEY,
            default=lambda: default,
            ttl_ms=ttl_ms,
            protection=make_protection(
                options.pop("early", None),
                options.pop("grace", None),
                options.pop("wait", None),
                tags,
                **options,
            ),
            clock=self.clock.monotonic,
            rng=lambda: self.rng,
        ).run()
        result = self._run(plan)
        assert not self.remaining
        return result

    def _run(self, plan):
        try:
            effect = next(plan)
            while True:
                try:
                    result = self._perform(effect)
                except Exception as error:
                    effect = plan.throw(error)
                else:
                    effect = plan.send(result)
        except StopIteration as stop:
            return stop.value

    def _perform(self, effect):
        match effect:
            case Batch():
                self.clock.seconds += self.seconds_per_batch
                self.sent += effect.commands
                reply = self.remaining.pop(0)
                if isinstance(reply, Exception):
                    raise reply
                return reply
            case Encode():
                return codec.encode(effect.value)
            case Compute():
                self.clock.seconds += 2
                self.computed += 1
                if isinstance(self.default, Exception):
                    raise self.default
                return effect.function()
            case Sleep():
                self.slept.append(effect.seconds)
                self.clock.seconds += effect.seconds
                return None
            case SingleFlight():
                return self.shared or self._run(effect.plan())

    @property
    def names(self):
        """The commands by name and key, for example ``SET lease``."""
        kinds = {KEY: "value", LEASE: "lease", TAG: "tag"}
        return [
            command[0] if command[0] == "MGET" else f"{command[0]} {kinds[command[1]]}"
            for command in self.sent
        ]

    @property
    def stored(self):
        """The envelope that was stored, and the rest of its SET."""
        (command,) = [each for each in self.sent if each[:2] == ("SET", KEY)]
        return unpack_envelope(command[2]), command[3:]


def make_value(fresh_for=60, *, compute_ms=100, tokens=None, content=OLD):
    """The stored bytes of a value that is fresh for so many seconds."""
    return pack_envelope(Envelope(content, NOW + round(fresh_for * 1000), compute_ms, tokens or {}))
