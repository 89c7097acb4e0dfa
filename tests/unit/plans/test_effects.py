from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from continuum_upstash.errors import ConnectionFailed, ReplyError
from continuum_upstash.plans.effects import (
    Plan,
    call,
    pair,
)
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run


class Recorder:
    """A transport whose reply to each command is its name."""

    def __init__(self, *, encode=repr, offload_on=()):
        self.sent = []
        self.runner = Runner(self.send, lambda value: encode(value).encode(), self.once)
        self.async_runner = AsyncRunner(
            self.asend,
            lambda value: encode(value).encode(),
            self.aonce,
            offload_on=offload_on,
        )

    def send(self, batch):
        self.sent.append(batch)
        if batch.commands[0][0] == "DOWN":
            raise ConnectionFailed("no connection")
        return [
            ReplyError("ERR no") if command[0] == "FAIL" else command[0]
            for command in batch.commands
        ]

    async def asend(self, batch):
        await asyncio.sleep(0)
        return self.send(batch)

    def once(self, key, run_it):
        return run_it()

    async def aonce(self, key, run_it):
        return await run_it()


def test_pair_makes_both_methods_with_name_signature_and_docstring():
    class Thing:
        def __init__(self):
            recorder = Recorder()
            self._run = lambda plan: run(plan, recorder.runner)
            self._arun = lambda plan: arun(plan, recorder.async_runner)

        def _get(self, key: str, default: Any = None) -> Plan[tuple[Any, Any]]:
            """Get it."""
            return (yield from call("GET", key)), default

        get, aget = pair(_get)

    assert Thing().get("k", default=1) == ("GET", 1)
    assert asyncio.run(Thing().aget("k", 2)) == ("GET", 2)
    assert (Thing.get.__name__, Thing.aget.__name__) == ("get", "aget")
    assert Thing.get.__doc__ == Thing.aget.__doc__ == "Get it."
    for method in (Thing.get, Thing.aget):
        shown = str(inspect.signature(method))
        assert shown == "(self, key: 'str', default: 'Any' = None) -> 'tuple[Any, Any]'"
    with pytest.raises(TypeError, match=r"Thing\.get\(\) got an unexpected keyword argument 'nx'"):
        Thing().get("k", nx=True)
    for method in pair(Thing._get):  # as the clients do, one of which is sync and one async
        assert method.__qualname__.endswith(f"<locals>.Thing.{method.__name__}")
