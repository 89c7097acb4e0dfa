"""Runs plans against canned replies, so that a test can state the exact commands."""

from __future__ import annotations

from continuum_upstash.codec.codec import Codec
from continuum_upstash.plans.effects import Batch, Compute, Encode, SingleFlight, Sleep
from continuum_upstash.plans.runner import Runner, run

codec = Codec()


def drive(plan, *replies):
    """Run a plan whose batches are answered by `replies`; return (result, batches sent).

    Each of `replies` answers one batch: a list of replies, or an exception to raise.
    """
    waiting, sent = list(replies), []

    def send(batch):
        sent.append(list(batch.commands))
        reply = waiting.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    result = run(plan, Runner(send, codec.encode, lambda key, run_it: run_it()))
    assert not waiting, f"the plan did not ask for {waiting}"
    return result, sent


def effects_of(plan):
    """Return the effects of a plan that gets None for each, and its result."""
    effects = []
    try:
        effect = next(plan)
        while True:
            assert isinstance(effect, (Batch, Encode, Compute, SingleFlight, Sleep))
            effects.append(effect)
            effect = plan.send(None)
    except StopIteration as stop:
        return effects, stop.value
