"""Runs plans against canned replies, so that a test can assert the exact commands."""

from __future__ import annotations

from continuum_upstash.codec.codec import Codec
from continuum_upstash.plans.runner import Runner, run

codec = Codec()


def run_plan(plan, *replies, encode=codec.encode):
    """Run a plan and return its result and the commands of each batch that it sent.

    Args:
        replies: for each batch a list of replies, or an exception to raise.
        encode: what Encode effects call.
    """
    remaining, sent = list(replies), []

    def send(batch):
        sent.append(list(batch.commands))
        reply = remaining.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    result = run(plan, Runner(send, encode, lambda _, call: call()))
    assert not remaining, f"the plan sent no batch for {remaining}"
    return result, sent
