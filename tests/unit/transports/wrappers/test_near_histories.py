"""The process sees its own writes at once, and those of others in time, however calls interleave.

Hypothesis starts reads and writes, runs them on the server, ends them, moves the clock and writes
as another process, in any order. Each value is written once, so a read shows which write it saw.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from continuum_upstash.plans.effects import Batch
from tests.unit.transports.wrappers.near_server import NearServer

EXAMPLES = 60 * int(os.environ.get("TEST_LENGTH", "1"))
SECONDS = {"q:a": 2.0, "other": 0.0}  # how outdated a read may be, as in NearServer
WRITTEN_KEYS = st.sampled_from([["q:a"], ["other", "q:a"]])


@dataclass
class Version:
    """A value of a key: the step of its write, and the time at which it was replaced."""

    value: bytes | None
    step: int
    replaced_at: float = float("inf")


@dataclass
class Call:
    """A call in flight; `ran` is the step in which the server ran it.

    `oldest` is, for each key of a read, the last write of this process that had ended before.
    """

    exchange: object
    keys: list[str]
    began: float
    oldest: dict[str, int] = field(default_factory=dict)
    replies: list | None = None
    ran: int = 0


class NearHistories(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.server, self.steps = NearServer(), count(1)
        self.versions = {key: [Version(None, 0)] for key in SECONDS}
        self.own = dict.fromkeys(SECONDS, 0)  # the step of the last own write that has ended
        self.calls, self.lost = [], []

    @rule(keys=st.sampled_from([["q:a"], ["q:a"], ["q:a", "other"]]))
    def begin_read(self, keys):
        name = "GET" if len(keys) == 1 else "MGET"
        exchange = self.server.policy.start(Batch(((name, *keys),)))
        oldest = {key: self.own[key] for key in keys}
        call = Call(exchange, keys, self.server.clock.now, oldest)
        if exchange.replies is None:
            self.calls.append(call)
        else:
            self.check_read(call)

    @rule(keys=WRITTEN_KEYS)
    def begin_write(self, keys):
        self.begin(self.make_write(keys))

    @rule(keys=WRITTEN_KEYS)
    def write_at_once(self, keys):
        self.finish(self.begin(self.make_write(keys)))

    @rule(keys=WRITTEN_KEYS)
    def delete_at_once(self, keys):
        self.finish(self.begin(Batch((("UNLINK", *keys),))))

    @rule(keys=WRITTEN_KEYS)
    def write_as_another_process(self, keys):
        self.run(self.make_write(keys))

    @rule(seconds=st.sampled_from([0.1, 0.9, 1.9, 2.1]))
    def wait(self, seconds):
        self.server.clock.now += seconds

    @precondition(lambda self: self.lost)
    @rule()
    def run_lost_write(self):
        self.run(self.lost.pop().exchange.batch)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def run_on_server(self, data):
        call = data.draw(st.sampled_from(self.calls))
        if call.replies is None:
            call.replies, call.ran = self.run(call.exchange.batch)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), is_lost=st.sampled_from([False, False, False, True]))
    def end(self, data, is_lost):
        call = data.draw(st.sampled_from(self.calls))
        if is_lost:
            self.lose_reply(call)
        else:
            self.finish(call)

    def begin(self, batch):
        call = Call(self.server.policy.start(batch), [], self.server.clock.now)
        self.calls.append(call)
        return call

    def finish(self, call):
        """Run a call if it has not run, and end it."""
        if call.replies is None:
            call.replies, call.ran = self.run(call.exchange.batch)
        self.calls.remove(call)
        call.exchange.replies = call.replies
        call.exchange.end()
        if call.keys:
            self.check_read(call)
        for key in list_keys(call.exchange.batch) if not call.keys else ():
            self.own[key] = max(self.own[key], call.ran)

    def lose_reply(self, call):
        self.calls.remove(call)
        call.exchange.end()
        if call.replies is None and not call.keys:
            self.lost.append(call)

    def make_write(self, keys):
        step = next(self.steps)
        commands = [("SET", key, b"\xa9%d:%s" % (step, key.encode())) for key in keys]
        return Batch(commands)

    def run(self, batch):
        """Run a batch on the server; return its replies and the step."""
        step, replies = next(self.steps), self.server.send(batch)
        if batch.commands[0][0] in {"GET", "MGET"}:
            return replies, step
        for key in list_keys(batch):
            value = next((each[2] for each in batch.commands if each[:2] == ("SET", key)), None)
            self.versions[key][-1].replaced_at = self.server.clock.now
            self.versions[key].append(Version(value, step))
        return replies, step

    def check_read(self, call):
        (reply,) = call.exchange.get_replies()
        values = reply if isinstance(reply, list) else [reply]
        for key, value in zip(call.keys, values, strict=True):
            since = call.began - SECONDS[key]
            allowed = {
                each.value
                for each in self.versions[key]
                if each.step >= call.oldest[key] and each.replaced_at >= since
            }
            assert value in allowed


def list_keys(batch):
    return {key for name, *rest in batch.commands for key in (rest[:1] if name == "SET" else rest)}


TestNearHistories = NearHistories.TestCase
TestNearHistories.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
