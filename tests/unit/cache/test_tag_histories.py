"""No read returns what was computed before its tag was deleted, however calls interleave.

Hypothesis starts calls in two processes, runs their commands one by one, lets tokens be evicted and
the database fail for one of the processes. A value is the version of its source when it was
computed. A process changes the source and then deletes the tag.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import SimpleNamespace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from continuum_upstash.cache.early import ProtectedGetOrSet, make_protection
from continuum_upstash.cache.tags import make_tag_keys
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded
from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.plans.effects import Batch, Compute, Encode, SingleFlight, Sleep
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.transports.database_state import Extras
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.local.transport import LocalTransport
from tests.unit.plan_runner import codec

EXAMPLES = 60 * int(os.environ.get("TEST_LENGTH", "1"))
KEY, TAG = "k", "p:a"
TAG_KEYS = make_tag_keys([TAG])
CONFIG = Config(mode="rest", rest_url="https://x.upstash.io", token="t")

get_or_set_options = st.sampled_from(
    [
        {},
        {"wait": 0.2},
        {"grace": 5},
        {"early": True, "wait": 0},
        {"early": 2, "grace": 5},
    ]
)


processes = st.integers(0, 1)
first_steps = st.sampled_from([100, 0, 1, 2, 3, 4])


class Process:
    """One process: its circuit breaker, its local store, its calls.

    Attributes:
        deleted: the version of the source when this process last deleted the tag.
    """

    def __init__(self, clock):
        self.policy = FailoverPolicy(
            CONFIG, LocalTransport(CONFIG, clock.read), clock.read, lambda: 0.0
        )
        self.keyvalue = KeyValuePlans(codec, alias="test")
        self.keyvalue.envelopes.now_ms = lambda: round(clock.now * 1000)
        self.database = SimpleNamespace(
            config=CONFIG,
            conditional_commands=ConditionalCommands(supported=True),
            extras=Extras(),
        )
        self.deleted = 0


class Call:
    """A call in flight.

    Attributes:
        least: the oldest version that it may return; None for a deletion.
        version: for a deletion, the version of the source.
        batch: the batch that it has sent.
    """

    def __init__(self, process, plan, least, version):
        self.process, self.plan, self.least, self.version = process, plan, least, version
        self.batch = None


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def read(self):
        return self.now


class TagHistories(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.remote = LocalTransport(CONFIG, self.clock.read)
        self.processes = [Process(self.clock), Process(self.clock)]
        self.version = 1  # of the source
        self.has_failed = False
        self.in_flight = []

    # ---- the rules

    @precondition(lambda self: len(self.in_flight) < 5)
    @rule(
        at=processes,
        options=get_or_set_options,
        rng=st.sampled_from([0, 0.9]),
        steps=first_steps,
    )
    def a_process_gets_or_sets(self, at, options, rng, steps):
        process = self.processes[at]
        plan = ProtectedGetOrSet(
            process.keyvalue,
            process.database,
            key=KEY,
            default=lambda: self.version,
            ttl_ms=30_000,
            protection=make_protection(
                options.get("early"), options.get("grace"), options.get("wait"), (TAG,)
            ),
            clock=self.clock.read,
            rng=lambda: rng,
        ).run()
        self._start(process, plan, self._get_least(process), steps)

    @precondition(lambda self: len(self.in_flight) < 5)
    @rule(at=processes, steps=first_steps)
    def a_process_gets(self, at, steps):
        process = self.processes[at]
        self._start(process, process.keyvalue.get(KEY), self._get_least(process), steps)

    @precondition(lambda self: len(self.in_flight) < 5)
    @rule(at=processes, steps=first_steps)
    def a_process_changes_the_source_and_deletes_the_tag(self, at, steps):
        process = self.processes[at]
        self.version += 1
        plan = process.keyvalue.delete_many(TAG_KEYS)
        self._start(process, plan, None, steps, self.version)

    @rule(key=st.sampled_from([KEY, *TAG_KEYS]))
    def a_key_is_evicted(self, key):
        self.remote.send(Batch((("DEL", key),)))

    @rule(seconds=st.sampled_from([0.1, 2.0, 31.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def a_call_continues(self, data):
        call = data.draw(st.sampled_from(self.in_flight))
        self._continue(call, call.plan.send, self.remote.send(call.batch))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def a_call_runs_to_its_end(self, data):
        call = data.draw(st.sampled_from(self.in_flight))
        while call in self.in_flight:
            self._continue(call, call.plan.send, self.remote.send(call.batch))

    @precondition(lambda self: any(call.process is self.processes[0] for call in self.in_flight))
    @rule(data=st.data(), has_run=st.booleans())
    def the_database_does_not_reply_to_the_first_process(self, data, has_run):
        calls = [call for call in self.in_flight if call.process is self.processes[0]]
        call = data.draw(st.sampled_from(calls))
        self.has_failed = True
        if has_run:
            self.remote.send(call.batch)
        error = DeadlineExceeded("no reply") if has_run else ConnectionFailed("refused")
        self._continue(call, call.plan.throw, error)

    @rule()
    def the_breaker_of_the_first_process_opens(self):
        self.has_failed = True
        self.processes[0].policy.breaker.force_open()

    @rule()
    def the_breaker_of_the_first_process_is_reset(self):
        self.processes[0].policy.breaker.reset()

    # ---- their implementation

    def _get_least(self, process):
        """A process sees its own deletions; those of the other one if the database never failed."""
        seen = [process] if self.has_failed else self.processes
        return max(each.deleted for each in seen)

    def _perform(self, process, plan):
        """Run a plan as a runner does; yield the batches that a process sends to the database."""
        step, argument = plan.send, None
        while True:
            try:
                effect = step(argument)
            except StopIteration as stop:
                return stop.value
            step, argument = plan.send, None
            match effect:
                case Batch():
                    try:
                        argument = yield from self._send(process, effect)
                    except Exception as error:  # as the runner
                        step, argument = plan.throw, error
                case Encode():
                    argument = codec.encode(effect.value)
                case Compute():
                    argument = effect.function()
                    with suppress(ConnectionFailed, DeadlineExceeded):
                        yield Batch((("PING",),))  # other calls continue while this one computes
                case Sleep():
                    self.clock.now += effect.seconds
                case SingleFlight():
                    argument = yield from self._perform(process, effect.plan())

    def _send(self, process, batch):
        """What `FailoverTransport.send` does, step by step."""
        permit = process.policy.breaker.acquire()
        if permit is None:
            return process.policy.reply_locally(batch)
        return (yield from process.policy.probe_then_send(permit, batch))

    def _start(self, process, plan, least, steps, version=0):
        """Start a call, and run its first steps at once."""
        call = Call(process, self._perform(process, plan), least, version)
        self.in_flight.append(call)
        self._continue(call, next, None)
        while steps and call in self.in_flight:
            self._continue(call, call.plan.send, self.remote.send(call.batch))
            steps -= 1

    def _continue(self, call, step, argument):
        try:
            call.batch = next(call.plan) if argument is None else step(argument)
        except StopIteration as stop:
            self.in_flight.remove(call)
            self._check_result(call, stop.value)

    def _check_result(self, call, value):
        if call.least is None:
            call.process.deleted = max(call.process.deleted, call.version)
        elif value is not None:
            assert value >= call.least, f"{value} is older than {call.least}, at the last deletion"

    def teardown(self):
        for call in self.in_flight:
            call.plan.close()


TagHistories.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None
)
TestTagHistories = TagHistories.TestCase
