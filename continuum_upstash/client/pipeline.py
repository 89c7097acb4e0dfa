"""Many commands of a plain client in one round trip; each is billed singly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch, Encode, Plan, Runs, pair
from continuum_upstash.plans.keyvalue import Operations
from continuum_upstash.protocol import Argument, Command, Replies, Reply


class _Value:
    """A value among a command's arguments, encoded when the pipeline is executed."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class PipelinePlans:
    """Collects commands and sends them in order.

    Args:
        runs: the client that runs the plan.
        plans: its key-value plans, for the codec.
        atomic: run as one transaction: nobody's command comes between.
    """

    def __init__(self, runs: Runs, plans: Operations, *, atomic: bool = False) -> None:
        self._run, self._arun = runs._run, runs._arun  # noqa: SLF001 the protocol of pair()
        self._plans = plans
        self._atomic = atomic
        self._commands: list[tuple[Argument | _Value, ...]] = []
        self._readers: list[Callable[[Any], Any]] = []

    def __len__(self) -> int:
        return len(self._commands)

    def command(self, *parts: Argument) -> Self:
        """Add any command; its result is the raw reply: bytes, int, list or None."""
        return self._add(_raw, *parts)

    def get(self, key: str) -> Self:
        return self._add(self._read, "GET", key)

    def set(
        self, key: str, value: Any, *, ex: float | None = None, nx: bool = False, xx: bool = False
    ) -> Self:
        """Add a SET; its result is whether the value was stored.

        Args:
            key: the full key.
            value: anything that the client's `set` takes.
            ex: seconds to live; None: for ever.
            nx: only if the key is not there.
            xx: only if the key is there.
        """
        lifetime = () if ex is None else ("PX", math.ceil(ex * 1000))
        condition = ("NX",) if nx else ("XX",) if xx else ()
        return self._add(_stored, "SET", key, _Value(value), *lifetime, *condition)

    def delete(self, *keys: str) -> Self:
        """Add an UNLINK; its result is how many keys there were."""
        return self._add(_raw, "UNLINK", *keys)

    def incr(self, key: str, delta: int = 1) -> Self:
        """Add an INCRBY; its result is the sum."""
        return self._add(_raw, "INCRBY", key, delta)

    def expire(self, key: str, ttl: float) -> Self:
        """Add a PEXPIRE of `ttl` seconds; its result is whether the key was there."""
        return self._add(bool, "PEXPIRE", key, math.ceil(ttl * 1000))

    def plan_execute(self, *, raise_on_error: bool = True) -> Plan[list[Any]]:
        """Send what was added, in one round trip; return the results and start anew.

        Args:
            raise_on_error: raise the first command's error, after all have run; False leaves
                each error in its place among the results.
        """
        commands, readers = self._commands, self._readers
        self._commands, self._readers = [], []
        if not commands:
            return []
        sent: list[Command] = []
        for command in commands:
            sent.append((yield from _encoded(command)))  # noqa: PERF401 a plan cannot yield in one
        replies: Replies = yield Batch(sent, atomic=self._atomic)
        results: list[Any] = []
        for reply, read in zip(replies, readers, strict=True):
            if not isinstance(reply, ReplyError):
                results.append(read(reply))
            elif raise_on_error:
                raise reply
            else:
                results.append(reply)
        return results

    def _add(self, read: Callable[[Any], Any], *parts: Argument | _Value) -> Self:
        self._commands.append(parts)
        self._readers.append(read)
        return self

    def _read(self, raw: bytes | None) -> Any:
        return None if raw is None else self._plans.load(raw, None)


class Pipeline(PipelinePlans):
    execute = pair(PipelinePlans.plan_execute)[0]


class AsyncPipeline(PipelinePlans):
    execute = pair(PipelinePlans.plan_execute)[1]


def _encoded(command: tuple[Argument | _Value, ...]) -> Plan[Command]:
    parts: list[Argument] = []
    for part in command:
        # A plan cannot yield inside a comprehension.
        data = (yield Encode(part.value)) if isinstance(part, _Value) else part
        parts.append(data)
    return tuple(parts)


def _raw(reply: Reply) -> Reply:
    return reply


def _stored(reply: Reply) -> bool:
    return reply is not None
