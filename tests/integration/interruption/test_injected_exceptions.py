"""An exception at any line of a call loses no slot of the pool and mixes up no replies.

With TEST_LENGTH set, it is raised at every bytecode instruction of a sync call instead.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.pool import Slot
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from continuum_upstash.transports.redis.transport import RedisTransport, make_plain_pool
from continuum_upstash.transports.rest.transport import AsyncRestTransport, RestTransport
from tests.integration.interruption.injector import Injector
from tests.integration.redis.tcp_clients import config_for
from tests.integration.rest.rest_clients import config
from tests.integration.scripted_server import http_response
from tests.pool_slots import count_free

SIZE = 2
EVENT = "opcode" if "TEST_LENGTH" in os.environ else "line"


class Timeout(BaseException):
    """As gevent's and eventlet's."""


class SoftTimeLimit(Exception):
    """As a task queue raises it from a signal handler."""


def echo(peer):
    """Reply to ECHO as the REST API does."""
    while (body := peer.read_request()) is not None:
        argument = json.loads(body)[1].encode()
        peer.send(http_response(b"$%d\r\n%b\r\n" % (len(argument), argument)))


class Subject:
    """A sync transport, and the number of each of its calls as what the server must reply."""

    is_async = False

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._numbers = itertools.count()
        self.open()

    def open(self) -> None:
        self.transport = self._make()

    def close(self) -> None:
        self.transport.close()

    @property
    def pool(self) -> Any:
        client = getattr(self.transport, "_client", self.transport)
        return getattr(client, "_pool", None)

    def call(self) -> None:
        expected = b"%d" % next(self._numbers)
        assert self._send(Batch([("ECHO", expected.decode())])) == [expected], "a wrong reply"

    def _send(self, batch: Batch) -> Any:
        return self.transport.send(batch)

    def finish(self) -> None:
        self.close()

    def count_free(self) -> int:
        return count_free(self.pool) if self.pool is not None else SIZE


class AsyncSubject(Subject):
    is_async = True

    def __init__(self, make: Callable[[], Any]) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        super().__init__(make)

    def close(self) -> None:
        self._loop.run_until_complete(self.transport.aclose())

    def finish(self) -> None:
        self.close()
        self._runner.close()

    def _send(self, batch: Batch) -> Any:
        return self._loop.run_until_complete(self.transport.asend(batch))


@pytest.fixture
def subject(request: pytest.FixtureRequest, serve: Any) -> Iterator[Subject]:
    kind = request.param
    limits = {"pool_size": SIZE, "read_timeout": 0.5, "connect_timeout": 0.5}
    if "rest" in kind:
        settings = config(serve(echo).url(), **limits)
    else:
        valkey = request.getfixturevalue("valkey")
        settings = config_for(valkey.url.replace("//", "//:secret@"), **limits)
        valkey.call("CONFIG", "SET", "requirepass", "secret")
    makers = {
        "rest": lambda: RestTransport(settings),
        "redis": lambda: RedisTransport(settings, make_plain_pool(settings)),
        "async-rest": lambda: AsyncRestTransport(settings),
        "async-redis": lambda: AsyncRedisTransport(settings),
    }
    subject = (AsyncSubject if "async" in kind else Subject)(makers[kind])
    yield subject
    subject.finish()
    gc.collect()


def interrupt_everywhere(
    subject: Subject, errors: list[type[BaseException]], prepare: Callable[[], None]
) -> None:
    # CPython runs no signal handler within an await, and protects not all of its instructions.
    event = "line" if subject.is_async else EVENT
    injector = Injector(event, is_coroutine if subject.is_async else lambda _: True)
    prepare()
    places = injector.count(subject.call)
    kept = []  # as error reporters do: the stack frames stay alive, too
    for at in range(1, places + 1):
        for kind in errors:
            prepare()
            error = kind()
            if injector.interrupt(subject.call, at, error):  # the last places may not be reached
                kept.append(error)
            assert subject.count_free() == SIZE, f"a slot is lost at {event} {at}"
            subject.call()
            subject.call()
    assert len(kept) > places * len(errors) * 0.9
    kept.clear()
    gc.collect()


def is_coroutine(frame: Any) -> bool:
    """A task is cancelled where it awaits; the loop's callbacks belong to no task."""
    return bool(frame.f_code.co_flags & inspect.CO_COROUTINE)


# A socket that was being opened is closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

SYNC = ["rest", "redis"]
ALL = [*SYNC, "async-rest", "async-redis"]
ERRORS = [Timeout, SoftTimeLimit]


@pytest.mark.parametrize("subject", ALL, indirect=True)
def test_a_call_over_a_kept_connection_is_interrupted_anywhere(subject):
    errors = [asyncio.CancelledError, SoftTimeLimit] if subject.is_async else ERRORS
    interrupt_everywhere(subject, errors, subject.call)


@pytest.mark.parametrize("subject", ALL, indirect=True)
def test_a_call_that_connects_is_interrupted_anywhere(subject):
    def reopen():
        subject.close()
        subject.open()

    errors = [asyncio.CancelledError] if subject.is_async else [Timeout]
    interrupt_everywhere(subject, errors, reopen)


@pytest.mark.parametrize("subject", SYNC, indirect=True)
def test_a_call_that_waits_for_a_connection_is_interrupted_anywhere(subject):
    timers = []

    def fill_pool():
        for timer in timers:
            timer.join()
        timers.clear()
        for _ in range(SIZE):
            slot = Slot()
            assert subject.pool._fill(slot)
            timers.append(threading.Timer(0.002, subject.pool.release, (slot,)))
            timers[-1].start()
            del slot

    injector = Injector(EVENT)
    fill_pool()
    places = injector.count(subject.call)
    kept = []
    for at in range(1, places + 1):
        fill_pool()
        error = Timeout()
        injector.interrupt(subject.call, at, error)
        kept.append(error)
        for timer in timers:
            timer.join()
        timers.clear()
        gc.collect(0)
        assert subject.count_free() == SIZE, f"a slot is lost at {EVENT} {at}"
        # At an instruction that CPython does not protect, a waiter stays until its deadline.
        assert not subject.pool._find_first(0.0 if EVENT == "line" else monotonic() + 2)
        subject.call()
