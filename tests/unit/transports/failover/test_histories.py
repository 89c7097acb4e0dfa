"""No read returns a value older than this process's writes, however calls interleave.

Hypothesis starts calls, runs their batches, delivers or loses the replies, moves the clock and
writes as another process, in any order and with several calls in flight. Each value is written
once, so a read identifies the write that it saw.
"""

from __future__ import annotations

import os
from itertools import count
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from continuum_upstash.errors import DeadlineExceeded
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.dirty_keys import DirtyKeys
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.local.transport import LocalTransport
from tests.unit.fake_clock import FakeClock
from tests.unit.transports.failover.failover_harness import CONFIG, refused
from tests.unit.transports.local.local_store import Store

EXAMPLES = 60 * int(os.environ.get("TEST_LENGTH", "1"))


class Write:
    """A write of this process or of another one; a delete is a write of None."""

    def __init__(self, key, value, began, own):
        self.key, self.value, self.began, self.own = key, value, began, own
        self.ended = None


class Call:
    """A call in flight.

    Attributes:
        batch: the batch that it has sent.
        replies: the database's, once it has run the batch.
    """

    def __init__(self, plan, key, began, write=None):
        self.plan, self.key, self.began, self.write = plan, key, began, write
        self.batch = None
        self.replies = None


class Histories(RuleBasedStateMachine):
    max_keys = 1_000
    keys: ClassVar = ["a", "b"]

    def __init__(self):
        super().__init__()
        self.remote, self.clock = Store(), FakeClock()
        self.policy = FailoverPolicy(CONFIG, LocalTransport(CONFIG), self.clock, lambda: 0.0)
        self.policy.dirty_keys = DirtyKeys(
            self.policy.dirty_keys._sweep_timeout,
            self.policy._drop_local,
            self.clock,
            self.max_keys,
        )
        self.times, self.values = count(1), count(1)
        self.in_flight = []
        self.writes = []

    # ---- the rules

    @precondition(lambda self: len(self.in_flight) < 4)
    @rule(data=st.data())
    def this_process_sets(self, data):
        key = data.draw(st.sampled_from(self.keys))
        value = b"%d" % next(self.values)
        self._start(("SET", key, value), self._write(key, value, own=True))

    @precondition(lambda self: len(self.in_flight) < 4)
    @rule(data=st.data())
    def this_process_deletes(self, data):
        key = data.draw(st.sampled_from(self.keys))
        self._start(("DEL", key), self._write(key, None, own=True))

    @precondition(lambda self: len(self.in_flight) < 4)
    @rule(data=st.data())
    def this_process_gets(self, data):
        key = data.draw(st.sampled_from(self.keys))
        self._start(("GET", key))

    @rule(data=st.data())
    def another_process_sets(self, data):
        key = data.draw(st.sampled_from(self.keys))
        write = self._write(key, b"%d" % next(self.values), own=False)
        self.remote.call("SET", key, write.value)
        write.ended = next(self.times)

    @rule(seconds=st.sampled_from([0.5, 2.0, 7.0, 40.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def the_breaker_is_forced_open(self):
        self.policy.breaker.force_open()

    @rule()
    def the_breaker_is_reset(self):
        self.policy.breaker.reset()

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def the_database_runs_a_batch(self, data):
        call = data.draw(st.sampled_from(self.in_flight))
        if call.replies is None:
            call.replies = self.remote.send(call.batch)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def a_call_continues(self, data):
        call = data.draw(st.sampled_from(self.in_flight))
        self._continue(call, call.plan.send, call.replies or self.remote.send(call.batch))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def a_call_runs_to_its_end(self, data):
        call = data.draw(st.sampled_from(self.in_flight))
        while call in self.in_flight:
            self._continue(call, call.plan.send, call.replies or self.remote.send(call.batch))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), lost=st.booleans())
    def a_batch_fails(self, data, lost):
        """The database may have run it before; it does not run it later."""
        call = data.draw(st.sampled_from(self.in_flight))
        self._continue(
            call, call.plan.throw, DeadlineExceeded("no reply in time") if lost else refused()
        )

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def a_call_is_cancelled(self, data):
        call = data.draw(st.sampled_from(self.in_flight))
        if call.write is None:  # the effect of a cancelled write is unknown
            self.in_flight.remove(call)
            call.plan.close()

    # ---- their implementation

    def _write(self, key, value, *, own):
        write = Write(key, value, next(self.times), own)
        self.writes.append(write)
        return write

    def _plan(self, batch):
        """What `FailoverTransport.send` does, step by step."""
        permit = self.policy.breaker.acquire()
        if permit is None:
            return self.policy.reply_locally(batch)
        return (yield from self.policy.probe_then_send(permit, batch))

    def _start(self, command, write=None):
        plan = self._plan(Batch((command,)))
        began = write.began if write else next(self.times)
        call = Call(plan, command[1], began, write)
        self.in_flight.append(call)
        self._continue(call, next, None)

    def _continue(self, call, step, argument):
        call.replies = None
        try:
            call.batch = step(call.plan) if argument is None else step(argument)
        except StopIteration as stop:
            self.in_flight.remove(call)
            if call.write:
                call.write.ended = next(self.times)
            else:
                self._check_read(call, stop.value[0])

    def _check_read(self, call, value):
        if value is None:
            return  # a cache may evict
        writes = [write for write in self.writes if write.key == call.key]
        (seen,) = [write for write in writes if write.value == value]
        newer = [
            write
            for write in writes
            if write.own
            and seen.ended is not None
            and seen.ended < write.began
            and write.ended is not None
            and write.ended < call.began
        ]
        assert not newer, f"{call.key} was {value!r}, but {newer[-1].value!r} was written after it"

    def teardown(self):
        """Whatever happened, no key stays dirty once the database replies."""
        for call in self.in_flight:
            call.plan.close()
        self.clock.now += 1_000
        for _ in range(50):
            plan = self._plan(Batch((("GET", "a"),)))
            try:
                batch = next(plan)
                while True:
                    batch = plan.send(self.remote.send(batch))
            except StopIteration:
                pass
        if self.policy.breaker.is_passing:
            assert not self.policy.dirty_keys.has_pending
            assert self.policy.local.send(Batch((("SCAN", "0", "COUNT", 1_000),))) == [[b"0", []]]


class FewDirtyKeys(Histories):
    max_keys = 2
    keys: ClassVar = ["a", "ab", "abc", "b1", "b2"]


steps = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
Histories.TestCase.settings = FewDirtyKeys.TestCase.settings = steps
TestHistories = Histories.TestCase
TestHistoriesWithPrefixes = FewDirtyKeys.TestCase
