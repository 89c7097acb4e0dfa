"""Plans and the drivers that run them.

A *plan* is a generator. It never does I/O: it yields effects, is sent their results, and
returns what the caller asked for. Nothing is written twice for sync and async.

    yield Batch(commands)    -> list[Reply], one per command, in order; one round trip
    yield Encode(value)      -> bytes, the stored form
    yield Compute(function)  -> its result, awaited by the async driver when awaitable
    yield Sleep(seconds)     -> None
    yield Once(key, plan)    -> the plan's result; concurrent callers with one key share one run

An error that the server gave for one command is a value in its place among the replies. It is
raised only where a plan asks: `call` and `calls` do. What fails as a whole (no connection, a
deadline, a refused token) is raised by the driver at the `yield`, so a plan may catch it.

Drivers hold no feature: a rule about Redis belongs into a plan, one about the network into a
transport.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar, cast

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Argument, Command, Replies

R = TypeVar("R")
P = ParamSpec("P")


class Batch(NamedTuple):
    """Commands for one round trip.

    Attributes:
        commands: at least one.
        atomic: run as one transaction (MULTI/EXEC), or as nothing at all.
        shared: the answer is only right when every process gets it from one store, as for a
            lock: no process-local copy may stand in for the database.
        deadline_s: seconds that the answer is worth waiting for, where that is less than the
            transport's own time-outs. It covers a new connection, too, except over TCP in a
            thread, where redis-py opens it within its own.
    """

    commands: Sequence[Command]
    atomic: bool = False
    shared: bool = False
    deadline_s: float | None = None

    def within(self, seconds: float) -> float:
        """Return how long the batch may take where the transport allows `seconds`."""
        return seconds if self.deadline_s is None else min(seconds, self.deadline_s)


@dataclass(frozen=True, slots=True)
class Encode:
    value: object


@dataclass(frozen=True, slots=True)
class Compute:
    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Once:
    key: str
    plan: Callable[[], Plan[Any]]


Effect: TypeAlias = Batch | Encode | Compute | Sleep | Once
Plan: TypeAlias = Generator[Effect, Any, R]


@dataclass(frozen=True, slots=True)
class Driver:
    """What a sync run needs.

    Attributes:
        send: a transport.
        encode: the codec.
        once: runs a function unless another caller with the same key is running it: then waits
            and returns that one's result.
    """

    send: Callable[[Batch], Replies]
    encode: Callable[[object], bytes]
    once: Callable[[str, Callable[[], Any]], Any]


@dataclass(frozen=True, slots=True)
class AsyncDriver:
    """The async twin.

    Attributes:
        offload_on: the errors of `encode` that mean "not in an event loop": Django's
            SynchronousOnlyOperation, where a lazy queryset would be evaluated.
        offload: runs a function in a thread where that is allowed.
    """

    asend: Callable[[Batch], Awaitable[Replies]]
    encode: Callable[[object], bytes]
    once: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
    offload_on: tuple[type[Exception], ...] = ()
    offload: Callable[..., Awaitable[bytes]] = asyncio.to_thread


def run(plan: Plan[R], driver: Driver) -> R:
    """Run a plan to its end in this thread."""
    try:
        effect = next(plan)
        while True:
            try:
                result = _perform(effect, driver)
            except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
                effect = plan.throw(error)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        return cast("R", stop.value)


def _perform(effect: Effect, driver: Driver) -> object:
    kind = type(effect)
    if kind is Batch:
        return driver.send(effect)  # type: ignore[arg-type]  # narrowed by kind, faster than match
    if kind is Encode:
        return driver.encode(effect.value)  # type: ignore[union-attr]
    if isinstance(effect, Once):
        return driver.once(effect.key, lambda: run(effect.plan(), driver))
    if isinstance(effect, Compute):
        result = effect.function()
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("the factory is a coroutine function: await the a…() twin instead")
        return result
    assert isinstance(effect, Sleep)
    time.sleep(effect.seconds)
    return None


async def arun(plan: Plan[R], driver: AsyncDriver) -> R:
    """Run a plan to its end in the running event loop."""
    try:
        effect = next(plan)
        while True:
            try:
                result = await _aperform(effect, driver)
            except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
                effect = plan.throw(error)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        return cast("R", stop.value)


async def _aperform(effect: Effect, driver: AsyncDriver) -> object:
    kind = type(effect)
    if kind is Batch:
        return await driver.asend(effect)  # type: ignore[arg-type]  # as in _perform
    if isinstance(effect, Encode):
        try:
            return driver.encode(effect.value)
        except driver.offload_on:
            return await driver.offload(driver.encode, effect.value)
    if isinstance(effect, Once):
        return await driver.once(effect.key, lambda: arun(effect.plan(), driver))
    if isinstance(effect, Compute):
        result = effect.function()
        return await result if inspect.isawaitable(result) else result
    assert isinstance(effect, Sleep)
    await asyncio.sleep(effect.seconds)
    return None


class Runs(Protocol):
    """A class whose methods are written as plans."""

    def _run(self, plan: Plan[R]) -> R: ...
    async def _arun(self, plan: Plan[R]) -> R: ...


S = TypeVar("S", bound=Runs)


def pair(
    method: Callable[Concatenate[S, P], Plan[R]],
) -> tuple[
    Callable[Concatenate[S, P], R],
    Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
]:
    """Return the sync method and the async method of a plan, with its signature and docstring."""

    def sync(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(method(self, *args, **kwargs))

    async def asynchronous(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._arun(method(self, *args, **kwargs))

    name = method.__name__.removeprefix("plan_").removeprefix("_")
    scope = "".join(method.__qualname__.rpartition(".")[:2])
    signature = inspect.signature(method)
    answer = str(signature.return_annotation).removeprefix("Plan[").removesuffix("]")
    for function, prefix in ((sync, ""), (asynchronous, "a")):
        update_wrapper(function, method)
        function.__name__, function.__qualname__ = prefix + name, scope + prefix + name
        vars(function)["__signature__"] = signature.replace(return_annotation=answer)
    # Wrong arguments fail in the plan, which nobody has called by its own name.
    method.__qualname__ = scope + name
    return sync, asynchronous


def call(*command: Argument, shared: bool = False) -> Plan[Any]:
    """Send one command; return its reply, or raise it when it is an error."""
    (reply,) = yield Batch((command,), shared=shared)
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def calls(commands: Sequence[Command], *, atomic: bool = False) -> Plan[list[Any]]:
    """Send commands in one round trip; return their replies, or raise the first error."""
    replies: Replies = yield Batch(commands, atomic=atomic)
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    return replies
