from __future__ import annotations

import asyncio
import threading

import pytest

from continuum_upstash.errors import ConnectionFailed, ReplyError
from continuum_upstash.plans.effects import (
    Batch,
    Compute,
    Encode,
    EncodeMany,
    SingleFlight,
    Sleep,
    call,
    call_many,
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


def both(make_plan, **options):
    """Run a plan sync and async; the results must be equal."""
    sync = run(make_plan(), Recorder(**options).runner)
    assert asyncio.run(arun(make_plan(), Recorder(**options).async_runner)) == sync
    return sync


def test_each_effect_gives_the_plan_its_result():
    def inner():
        yield Sleep(0)
        return "inner"

    def plan():
        replies = yield Batch([("A",), ("B",)])
        encoded = yield Encode(5)
        both_encoded = yield EncodeMany({"a": 1, "b": 2}.values())
        computed = yield Compute(lambda: 7)
        once = yield SingleFlight("key", inner)
        return replies, encoded, both_encoded, computed, once

    assert both(plan) == (["A", "B"], b"5", [b"1", b"2"], 7, "inner")


def test_a_plan_can_catch_what_an_effect_raises():
    def plan():
        try:
            yield Batch([("DOWN",)])
        except ConnectionFailed as error:
            return str(error)

    assert both(plan) == "no connection"


def test_an_async_factory_is_awaited_and_is_an_error_in_a_sync_run():
    async def factory():
        return "made"

    def plan():
        return (yield Compute(factory))

    assert asyncio.run(arun(plan(), Recorder().async_runner)) == "made"
    with pytest.raises(TypeError, match="coroutine function"):
        run(plan(), Recorder().runner)


def test_only_the_named_errors_of_encode_move_it_to_a_thread():
    class Lazy(Exception):
        pass

    main = threading.get_ident()

    def encode(value):
        if threading.get_ident() == main:
            raise value
        return "in a thread"

    def plan(error):
        return (yield Encode(error)), (yield EncodeMany([error, error]))

    recorder = Recorder(encode=encode, offload_on=(Lazy,))
    once = b"in a thread"
    assert asyncio.run(arun(plan(Lazy()), recorder.async_runner)) == (once, [once, once])
    with pytest.raises(KeyError):
        asyncio.run(arun(plan(KeyError()), recorder.async_runner))


def test_call_raises_an_error_reply_and_call_many_the_first_one():
    def plan():
        for attempt in (call("FAIL"), call_many([("A",), ("FAIL",)])):
            try:
                yield from attempt
            except ReplyError as error:
                codes.append(error.code)
        return (yield from call("A")), (yield from call_many([("A",), ("B",)]))

    codes = []
    assert both(plan) == ("A", ["A", "B"])
    assert codes == ["ERR"] * 4


def test_a_runner_needs_a_transport_only():
    recorder = Recorder()

    def plan():
        return (yield SingleFlight("key", lambda: call("A")))

    assert run(plan(), Runner(recorder.send)) == "A"
    assert asyncio.run(arun(plan(), AsyncRunner(recorder.asend))) == "A"


def test_a_runner_without_a_codec_cannot_encode():
    def plan():
        yield Encode(1)

    with pytest.raises(NotImplementedError, match="no codec"):
        run(plan(), Runner(Recorder().send))
    with pytest.raises(NotImplementedError, match="no codec"):
        asyncio.run(arun(plan(), AsyncRunner(Recorder().asend)))


def test_a_plan_is_closed_when_its_run_is_interrupted():
    ended = []

    def plan():
        try:
            yield Compute(interrupt)
        finally:
            ended.append(1)

    def interrupt():
        raise KeyboardInterrupt

    running = plan()  # kept, as in a traceback
    with pytest.raises(KeyboardInterrupt):
        run(running, Runner(lambda _: []))
    assert ended == [1]


async def test_a_plan_is_closed_when_its_task_is_cancelled():
    ended = []

    def plan():
        try:
            yield Sleep(60)
        finally:
            ended.append(1)

    async def asend(_):
        return []

    running = plan()
    task = asyncio.create_task(arun(running, AsyncRunner(asend)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [1]
