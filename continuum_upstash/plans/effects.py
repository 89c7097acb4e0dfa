"""The effects that plans yield.

A *plan* is a generator. It does no I/O: it yields effects, is sent their results, and returns the
result of the operation. Therefore each operation is written once for sync and async.

    yield Batch(commands)          -> list[Reply], one per command, in order; one round trip
    yield Encode(value)            -> the bytes to store
    yield EncodeMany(values)       -> the bytes to store for each value
    yield Compute(function)        -> its result, awaited by the async runner when awaitable
    yield Sleep(seconds)           -> None
    yield SingleFlight(key, plan)  -> the plan's result; concurrent callers with one key share a run

An error reply to one command is a value in its place among the replies; `call` and `call_many`
raise it. An error of the whole batch (no connection, a deadline, a rejected token) is raised at the
`yield`, so a plan can catch it.

`continuum_upstash.plans.runner` runs plans. It contains no feature: rules about Redis belong in
plans, rules about the network in transports.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Argument, Command, Replies

R = TypeVar("R")

FlightKey: TypeAlias = str | tuple[str, ...]


class Batch(NamedTuple):
    """Commands for one round trip.

    Attributes:
        commands: at least one.
        atomic: run them as one transaction (MULTI/EXEC): all or none.
        needs_server: the result is only correct when all processes share one store (a lock, for
            example), so the local fallback must not reply.
        deadline_s: seconds after which the result is useless, where that is less than the
            transport's own timeouts. It includes opening a connection.
    """

    commands: Sequence[Command]
    atomic: bool = False
    needs_server: bool = False
    deadline_s: float | None = None


class Encode(NamedTuple):
    value: object


class EncodeMany(NamedTuple):
    values: Iterable[object]


class Compute(NamedTuple):
    function: Callable[[], Any]


class Sleep(NamedTuple):
    seconds: float


class SingleFlight(NamedTuple):
    """
    Attributes:
        key: one Redis key, or several; a write of any of them ends the run.
        plan: makes the plan.
    """

    key: FlightKey
    plan: Callable[[], Plan[Any]]


Effect: TypeAlias = Batch | Encode | EncodeMany | Compute | Sleep | SingleFlight
Plan: TypeAlias = Generator[Effect, Any, R]


def call(*command: Argument, needs_server: bool = False) -> Plan[Any]:
    """Send one command and return its reply.

    Raises:
        ReplyError: the reply is an error.
    """
    (reply,) = yield Batch((command,), needs_server=needs_server)
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def call_many(
    commands: Sequence[Command], *, atomic: bool = False, needs_server: bool = False
) -> Plan[list[Any]]:
    """Send commands in one round trip and return their replies.

    Raises:
        ReplyError: the first error among the replies.
    """
    replies: Replies = yield Batch(commands, atomic, needs_server)
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    return replies


class PlanRunner(Protocol):
    """An object that runs plans: a cache or a client."""

    def run(self, plan: Plan[R]) -> R: ...


class AsyncPlanRunner(Protocol):
    """An object that runs plans in the running event loop."""

    async def arun(self, plan: Plan[R]) -> R: ...
