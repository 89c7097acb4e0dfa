"""Runs plans against canned replies, for tests of the exact commands."""

from __future__ import annotations

from continuum_upstash.codec.codec import Codec
from continuum_upstash.plans.runner import Runner, run

codec = Codec()


def drive(plan, *replies):
    """Run a plan with canned replies; return (result, batches sent).

    Each of `replies` is for one batch: a list of replies, or an exception to raise.
    """
    waiting, sent = list(replies), []

    def send(batch):
        sent.append(list(batch.commands))
        reply = waiting.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    result = run(plan, Runner(send, codec.encode, lambda key, run_it: run_it()))
    assert not waiting, f"not requested: {waiting}"
    return result, sent
