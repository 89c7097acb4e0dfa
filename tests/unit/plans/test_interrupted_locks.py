"""Locks whose body, acquire or release fails or is interrupted."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from continuum_upstash.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    LockLost,
    PoolExhausted,
    ReplyError,
    Unavailable,
)
from continuum_upstash.plans.locks import RELEASE, AsyncLock, Lock
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run


class Timeout(BaseException):
    """As gevent's."""


class Server:
    """A server with one key; `failures` are raised before, or `lost` after, the next commands."""

    def __init__(self):
        self.token = None
        self.sent = []
        self.failures = []
        self.lost = []
        self.delay = 0.0

    def send(self, batch):
        (command,) = batch.commands
        self.sent.append(command[0])
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        reply = self.execute(command)
        if self.lost and (failure := self.lost.pop(0)):
            raise failure
        return [reply]

    def execute(self, command):
        if command[0] == "SET":
            if self.token is not None:
                return None
            self.token = command[2]
            return b"OK"
        if command[0] == "EVAL":
            assert command[1] is RELEASE
            released = self.token == command[4]
            self.token = None if released else self.token
            return int(released)
        assert command[0] == "GET"
        return self.token and self.token.encode()

    async def asend(self, batch):
        await asyncio.sleep(0)
        replies = self.send(batch)
        await asyncio.sleep(self.delay)
        return replies

    def run(self, plan):
        return run(plan, Runner(self.send))

    async def arun(self, plan):
        return await arun(plan, AsyncRunner(self.asend))


def lose_lock_and_fail(server, lock):
    with lock:
        server.token = "another"
        raise KeyError("body")


async def alose_lock_and(server, coroutine_function):
    async with AsyncLock(server, "lock:a"):
        server.token = "another"
        await coroutine_function()


async def fail():
    raise KeyError("body")


async def wait_for(condition):
    while not condition():  # noqa: ASYNC110 the server is no coroutine
        await asyncio.sleep(0)


FAILURES = [
    ConnectionFailed("the connection broke"),
    DeadlineExceeded("too late"),
    Unavailable("circuit breaker open"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: type(each).__name__)
def test_the_error_of_the_body_is_raised_though_the_release_fails(caplog, failure):
    server = Server()
    server.failures = [None, failure]
    with pytest.raises(KeyError) as raised:
        lose_lock_and_fail(server, Lock(server, "lock:a"))
    assert raised.value.__notes__ == [
        f"The lock was not released ({type(failure).__name__}): {failure}"
    ]
    assert len(caplog.records) == 1


def test_the_error_of_the_body_is_raised_though_the_lock_is_lost():
    server = Server()
    with pytest.raises(KeyError):
        lose_lock_and_fail(server, Lock(server, "lock:a"))
    with pytest.raises(LockLost), Lock(Server(), "lock:a") as lock:
        lock._runner.token = "another"


async def test_the_async_error_of_the_body_is_raised_though_the_lock_is_lost():
    with pytest.raises(KeyError):
        await alose_lock_and(Server(), fail)


async def test_a_cancelled_body_stays_cancelled_though_the_lock_is_lost():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alose_lock_and(Server(), partial(asyncio.sleep, 5)), 0.01)


def test_a_release_that_failed_can_be_repeated():
    server = Server()
    lock = Lock(server, "lock:a")
    lock.acquire()
    server.failures = [DeadlineExceeded("too late")]
    with pytest.raises(DeadlineExceeded):
        lock.release()
    assert lock.owned()
    lock.release()
    assert server.token is None


def test_a_release_whose_reply_was_lost_can_be_repeated():
    server = Server()
    lock = Lock(server, "lock:a")
    lock.acquire()
    server.lost = [DeadlineExceeded("too late")]
    with pytest.raises(DeadlineExceeded):
        lock.release()
    lock.release()
    with pytest.raises(LockLost, match="does not hold"):
        lock.release()


async def test_a_cancelled_release_can_be_repeated():
    server = Server()
    lock = AsyncLock(server, "lock:a")
    await lock.acquire()
    task = asyncio.create_task(lock.release())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await lock.owned()
    await lock.release()
    assert server.token is None


@pytest.mark.parametrize(
    "failure", [DeadlineExceeded("too late"), ConnectionFailed("broke"), Timeout()]
)
def test_an_acquire_whose_reply_is_lost_gives_the_lock_back(failure):
    server = Server()
    server.lost = [failure]
    with pytest.raises(type(failure)):
        Lock(server, "lock:a").acquire()
    assert server.token is None
    assert server.sent == ["SET", "EVAL"]


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionFailed("refused", unsent=True),
        PoolExhausted("all 10 connections were busy"),
        Unavailable("circuit breaker open"),
        ReplyError("WRONGTYPE"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_acquire_that_sent_nothing_gives_nothing_back(failure):
    server = Server()
    server.failures = [failure]
    with pytest.raises(type(failure)):
        Lock(server, "lock:a").acquire()
    assert server.sent == ["SET"]


def test_a_lock_that_cannot_be_given_back_raises_the_first_error():
    server = Server()
    server.failures = [DeadlineExceeded("first"), DeadlineExceeded("second")]
    with pytest.raises(DeadlineExceeded, match="first"):
        Lock(server, "lock:a").acquire()


async def test_a_cancelled_acquire_gives_the_lock_back_when_its_reply_comes():
    server = Server()
    server.delay = 0.02
    task = asyncio.create_task(AsyncLock(server, "lock:a").acquire())
    await wait_for(lambda: server.token is not None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.token is not None
    await wait_for(lambda: server.token is None)
    assert server.sent == ["SET", "EVAL"]


async def test_a_cancelled_wait_for_a_lock_ends():
    server = Server()
    server.token = "another"
    others = asyncio.all_tasks()
    task = asyncio.create_task(AsyncLock(server, "lock:a", sleep=0.001).acquire())
    await wait_for(lambda: len(server.sent) >= 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    attempts = len(server.sent)
    await asyncio.wait_for(asyncio.gather(*asyncio.all_tasks() - others, return_exceptions=True), 5)
    assert len(server.sent) - attempts <= 1
    assert server.token == "another"


async def test_an_async_acquire_whose_reply_is_lost_gives_the_lock_back():
    server = Server()
    server.lost = [DeadlineExceeded("too late")]
    with pytest.raises(DeadlineExceeded):
        await AsyncLock(server, "lock:a").acquire()
    assert server.token is None


@pytest.mark.parametrize("thread_local", [True, False])
def test_a_failed_acquire_of_another_thread_does_not_release_the_lock(thread_local):
    server = Server()
    lock = Lock(server, "lock:a", thread_local=thread_local)
    sending, acquired = threading.Event(), threading.Event()
    execute = server.execute

    def fail_first(command):
        if command[0] == "SET" and not sending.is_set():
            sending.set()
            assert acquired.wait(5)
            raise DeadlineExceeded("no reply")
        return execute(command)

    server.execute = fail_first
    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(lock.acquire)
        assert sending.wait(5)
        lock.acquire()
        acquired.set()
        with pytest.raises(DeadlineExceeded):
            failed.result(5)
    assert server.token is not None
    lock.release()
    assert server.token is None
