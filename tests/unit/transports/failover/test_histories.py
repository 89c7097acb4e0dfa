"""No read returns a value older than what this process wrote, however calls interleave.

Hypothesis starts calls, lets the database run what they ask, delivers or loses the replies, moves
the clock, and lets other processes write; in any order, several calls at a time. Each value is
new, so that a read tells which write it saw.
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
from continuum_upstash.transports.failover.journal import Journal
from continuum_upstash.transports.failover.policy import Standby
from continuum_upstash.transports.local.transport import Local
from tests.unit.transports.failover.failover_harness import CONFIG, Clock, refused
from tests.unit.transports.local.local_store import Store

EXAMPLES = 60 * int(os.environ.get("TEST_LENGTH", "1"))


class Write:
    """One that this process, or another one, made: of a value, or of nothing (a delete)."""

    def __init__(self, key, value, began, ours):
        self.key, self.value, self.began, self.ours = key, value, began, ours
        self.ended = None


class Call:
    """A call on its careful way.

    Attributes:
        batch: what it wants the database to do now.
        replies: the database's, once it has run the batch.
    """

    def __init__(self, plan, key, began, write=None):
        self.plan, self.key, self.began, self.write = plan, key, began, write
        self.batch = None
        self.replies = None


class Histories(RuleBasedStateMachine):
    most_keys = 1_000
    keys: ClassVar = ["a", "b"]

    def __init__(self):
        super().__init__()
        self.remote, self.clock = Store(), Clock()
        self.standby = Standby(CONFIG, Local(CONFIG), self.clock, lambda: 0.0)
        self.standby.journal = Journal(
            self.standby.journal._lease, self.standby._forget, self.clock, self.most_keys
        )
        self.times, self.values = count(1), count(1)
        self.under_way = []
        self.writes = []

    # ---- what may happen

    @precondition(lambda self: len(self.under_way) < 4)
    @rule(data=st.data())
    def we_set(self, data):
        key = data.draw(st.sampled_from(self.keys))
        value = b"%d" % next(self.values)
        self._start(("SET", key, value), self._write(key, value, ours=True))

    @precondition(lambda self: len(self.under_way) < 4)
    @rule(data=st.data())
    def we_delete(self, data):
        key = data.draw(st.sampled_from(self.keys))
        self._start(("DEL", key), self._write(key, None, ours=True))

    @precondition(lambda self: len(self.under_way) < 4)
    @rule(data=st.data())
    def we_get(self, data):
        key = data.draw(st.sampled_from(self.keys))
        self._start(("GET", key))

    @rule(data=st.data())
    def somebody_else_sets(self, data):
        key = data.draw(st.sampled_from(self.keys))
        write = self._write(key, b"%d" % next(self.values), ours=False)
        self.remote.call("SET", key, write.value)
        write.ended = next(self.times)

    @rule(seconds=st.sampled_from([0.5, 2.0, 7.0, 40.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def we_are_down_for_a_while(self):
        self.standby.breaker.force_open()

    @rule()
    def we_are_up_again(self):
        self.standby.breaker.reset()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def the_database_runs_a_batch(self, data):
        call = data.draw(st.sampled_from(self.under_way))
        if call.replies is None:
            call.replies = self.remote.send(call.batch)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_call_goes_on(self, data):
        call = data.draw(st.sampled_from(self.under_way))
        self._go_on(call, call.plan.send, call.replies or self.remote.send(call.batch))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_call_goes_on_to_its_end(self, data):
        call = data.draw(st.sampled_from(self.under_way))
        while call in self.under_way:
            self._go_on(call, call.plan.send, call.replies or self.remote.send(call.batch))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), lost=st.booleans())
    def a_batch_fails(self, data, lost):
        """Whether the database ran it or not; if not, it never will."""
        call = data.draw(st.sampled_from(self.under_way))
        self._go_on(call, call.plan.throw, DeadlineExceeded("too late") if lost else refused())

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_call_is_cancelled(self, data):
        call = data.draw(st.sampled_from(self.under_way))
        if call.write is None:  # nobody knows what a cancelled write did
            self.under_way.remove(call)
            call.plan.close()

    # ---- how it happens

    def _write(self, key, value, *, ours):
        write = Write(key, value, next(self.times), ours)
        self.writes.append(write)
        return write

    def _plan(self, batch):
        """What `Failover.send` does, in steps."""
        ticket = self.standby.breaker.admit()
        if ticket is None:
            return self.standby.answer(batch)
        return (yield from self.standby.careful(ticket, batch))

    def _start(self, command, write=None):
        plan = self._plan(Batch((command,)))
        began = write.began if write else next(self.times)
        call = Call(plan, command[1], began, write)
        self.under_way.append(call)
        self._go_on(call, next, None)

    def _go_on(self, call, step, argument):
        call.replies = None
        try:
            call.batch = step(call.plan) if argument is None else step(argument)
        except StopIteration as stop:
            self.under_way.remove(call)
            if call.write:
                call.write.ended = next(self.times)
            else:
                self._check_read(call, stop.value[0])

    def _check_read(self, call, value):
        if value is None:
            return  # a cache may forget
        writes = [write for write in self.writes if write.key == call.key]
        (seen,) = [write for write in writes if write.value == value]
        newer = [
            write
            for write in writes
            if write.ours
            and seen.ended is not None
            and seen.ended < write.began
            and write.ended is not None
            and write.ended < call.began
        ]
        assert not newer, f"{call.key} was {value!r}, but we wrote {newer[-1].value!r} after it"

    def teardown(self):
        """Whatever happened, the journal empties once the database is well."""
        for call in self.under_way:
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
        if self.standby.breaker.passes:
            assert not self.standby.journal.owes
            assert self.standby.local.send(Batch((("DBSIZE",),))) == [0]


class ShortJournal(Histories):
    most_keys = 2
    keys: ClassVar = ["a", "ab", "abc", "b1", "b2"]


steps = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
Histories.TestCase.settings = ShortJournal.TestCase.settings = steps
TestHistories = Histories.TestCase
TestHistoriesWithHeads = ShortJournal.TestCase
