"""Runs plans, sync or async, over a transport.

`drive` and `adrive` run generators that yield other effects than `plans.effects`, by a function
that performs one effect.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType
from typing import Any, NamedTuple, NoReturn, TypeVar

from continuum_upstash.plans.effects import (
    Batch,
    Compute,
    Effect,
    Encode,
    EncodeMany,
    FlightKey,
    Plan,
    SingleFlight,
    Sleep,
)
from continuum_upstash.protocol import Replies

R = TypeVar("R")
E = TypeVar("E")


def _reject_encode(_value: object) -> NoReturn:
    raise NotImplementedError("this runner has no codec: it cannot run a plan that yields Encode")


def _run_unshared(_key: FlightKey, function: Callable[[], R]) -> R:
    return function()


async def _run_in_thread(function: Callable[..., bytes], *args: object) -> bytes:
    import asyncio  # noqa: PLC0415 sync clients start faster without it

    return await asyncio.to_thread(function, *args)


class Runner(NamedTuple):
    """What a sync run needs.

    Attributes:
        send: a transport's.
        encode: the codec's; by default a plan that yields Encode fails.
        single_flight: runs a function, unless another caller with the same key is running it: then
            waits for that call and returns its result. By default nothing is shared.
    """

    send: Callable[[Batch], Replies]
    encode: Callable[[object], bytes] = _reject_encode
    single_flight: Callable[[FlightKey, Callable[[], Any]], Any] = _run_unshared


class AsyncRunner(NamedTuple):
    """What an async run needs; see Runner.

    Attributes:
        offload_on: the errors of `encode` that mean "not in an event loop": Django's
            SynchronousOnlyOperation, raised where a lazy queryset would be evaluated.
        offload: runs `encode` in a thread where that is allowed.
    """

    asend: Callable[[Batch], Awaitable[Replies]]
    encode: Callable[[object], bytes] = _reject_encode
    single_flight: Callable[[FlightKey, Callable[[], Awaitable[Any]]], Awaitable[Any]] = (
        _run_unshared
    )
    offload_on: tuple[type[Exception], ...] = ()
    offload: Callable[..., Awaitable[bytes]] = _run_in_thread


def run(plan: Plan[R], runner: Runner) -> R:
    """Run a plan to its end in this thread."""
    try:
        effect = next(plan)
        while True:
            try:
                # Nearly every effect is a batch: no call in between.
                result = runner.send(effect) if type(effect) is Batch else _perform(effect, runner)
            except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
                effect = plan.throw(error)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        final: R = stop.value
        return final
    except BaseException:  # cancelled, for example
        plan.close()  # at once, and not when the exception is forgotten
        raise


def _perform(effect: Effect, runner: Runner) -> object:
    if isinstance(effect, Encode):
        return runner.encode(effect.value)
    if isinstance(effect, EncodeMany):
        return list(map(runner.encode, effect.values))
    if isinstance(effect, SingleFlight):
        return runner.single_flight(effect.key, lambda: run(effect.plan(), runner))
    if isinstance(effect, Compute):
        result = effect.function()
        if isinstance(result, CoroutineType):
            result.close()
            raise TypeError(
                "The function is a coroutine function. Await the async method instead, for "
                "example aget_or_set()."
            )
        return result
    assert isinstance(effect, Sleep)
    time.sleep(effect.seconds)
    return None


async def arun(plan: Plan[R], runner: AsyncRunner) -> R:
    """Run a plan to its end in the running event loop."""
    try:
        effect = next(plan)
        while True:
            try:
                if type(effect) is Batch:
                    result: object = await runner.asend(effect)
                else:
                    result = await _aperform(effect, runner)
            except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
                effect = plan.throw(error)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        final: R = stop.value
        return final
    except BaseException:  # cancelled, for example
        plan.close()  # at once, and not when the exception is forgotten
        raise


async def _aperform(effect: Effect, runner: AsyncRunner) -> object:
    if isinstance(effect, Encode):
        try:
            return runner.encode(effect.value)
        except runner.offload_on:
            return await runner.offload(runner.encode, effect.value)
    if isinstance(effect, EncodeMany):
        return [await _aperform(Encode(value), runner) for value in effect.values]
    if isinstance(effect, SingleFlight):
        return await runner.single_flight(effect.key, lambda: arun(effect.plan(), runner))
    if isinstance(effect, Compute):
        result = effect.function()
        return await result if isinstance(result, Awaitable) else result
    assert isinstance(effect, Sleep)
    import asyncio  # noqa: PLC0415 as in _run_in_thread

    await asyncio.sleep(effect.seconds)
    return None


def drive(plan: Generator[E, Any, R], perform: Callable[[E], Any]) -> R:
    """Run a generator to its end; an error of `perform` is raised at its `yield`.

    `run` has the same loop inline: it runs for every call of a cache.
    """
    try:
        effect = next(plan)
        while True:
            try:
                result = perform(effect)
            except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
                effect = plan.throw(error)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        final: R = stop.value
        return final
    finally:
        plan.close()


async def adrive(plan: Generator[E, Any, R], perform: Callable[[E], Awaitable[Any]]) -> R:
    """Run a generator to its end in the running event loop; see `drive`."""
    try:
        effect = next(plan)
        while True:
            try:
                result = await perform(effect)
            except Exception as error:  # noqa: BLE001 the plan decides which errors it handles
                effect = plan.throw(error)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        final: R = stop.value
        return final
    finally:
        plan.close()
