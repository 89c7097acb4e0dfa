"""Waiting for a connection of the pool: how long, and that it is not the server's time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import inf

import pytest

from continuum_upstash.errors import PoolExhausted
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.rest.transport import AsyncRestTransport, RestTransport
from tests.integration.rest.rest_clients import config
from tests.integration.scripted_server import http_response
from tests.pool_slots import count_free

GET = Batch([("GET", "k")])
INCR = Batch([("INCR", "n")])


def hold_response(release: threading.Event):
    """Respond when the test allows it."""

    def behave(peer):
        while peer.read_request() is not None:
            release.wait(20)
            peer.send(http_response())

    return behave


def test_a_thread_that_finds_all_connections_busy_waits_until_its_deadline(serve):
    release = threading.Event()
    server = serve(hold_response(release))
    waiting = RestTransport(config(server.url(), pool_size=1))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(waiting.send, GET)
        server.arrived.acquire()
        short_timeout = RestTransport(config(server.url(), pool_size=1, read_timeout=0.1))
        short_timeout._client._pool = waiting._client._pool
        waiting._client._pool._last_reply_at = inf  # other callers get replies
        with pytest.raises(PoolExhausted, match=r"all 1 connections were busy.*POOL_SIZE"):
            short_timeout.send(GET)
        release.set()
        assert first.result() == [b"OK"]
    assert waiting.send(GET) == [b"OK"]
    waiting.close()


async def test_a_task_that_finds_all_connections_busy_waits_until_its_deadline(serve):
    release = threading.Event()
    server = serve(hold_response(release))
    waiting = AsyncRestTransport(config(server.url(), pool_size=1))
    first = asyncio.create_task(waiting.asend(GET))
    await asyncio.to_thread(server.arrived.acquire)
    short_timeout = AsyncRestTransport(config(server.url(), pool_size=1, read_timeout=0.1))
    short_timeout._client._pool = waiting._client._pool
    waiting._client._pool._last_reply_at = inf  # other callers get replies
    with pytest.raises(PoolExhausted, match="all 1 connections were busy"):
        await short_timeout.asend(GET)
    release.set()
    assert await first == [b"OK"]
    assert await waiting.asend(GET) == [b"OK"]


def respond_late_twice(hold, late):
    """Respond to the first request when the test allows it, and to the second one later."""

    def behave(peer):
        peer.read_request()
        hold.wait(20)
        peer.send(http_response())
        peer.read_request()
        late.wait(1.0)
        peer.send(http_response())

    return behave


def test_a_threads_wait_for_a_connection_is_not_the_servers_time(serve):
    hold = threading.Event()
    server = serve(respond_late_twice(hold, threading.Event()))
    rest = RestTransport(config(server.url(), pool_size=1, read_timeout=2.0))
    with closing(rest), ThreadPoolExecutor(2) as threads:
        first = threads.submit(rest.send, GET)
        server.arrived.acquire()
        second = threads.submit(rest.send, INCR)
        threading.Timer(1.5, hold.set).start()
        assert (first.result(), second.result()) == ([b"OK"], [b"OK"])


async def test_a_tasks_wait_for_a_connection_is_not_the_servers_time(serve):
    hold = threading.Event()
    server = serve(respond_late_twice(hold, threading.Event()))
    rest = AsyncRestTransport(config(server.url(), pool_size=1, read_timeout=2.0))
    first = asyncio.create_task(rest.asend(GET))
    await asyncio.to_thread(server.arrived.acquire)
    second = asyncio.create_task(rest.asend(INCR))
    threading.Timer(1.5, hold.set).start()
    assert (await first, await second) == ([b"OK"], [b"OK"])
    await rest.aclose()


async def test_a_cancelled_read_frees_its_slot_and_keeps_its_connection(serve):
    hold = threading.Event()
    server = serve(respond_late_twice(hold, hold))
    rest = AsyncRestTransport(config(server.url(), pool_size=1))
    first = asyncio.create_task(rest.asend(GET))
    await asyncio.to_thread(server.arrived.acquire)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert count_free(rest._client._pool) == 1
    (finishing,) = rest._client._finishing
    hold.set()
    await asyncio.wait([finishing._pending])
    assert await rest.asend(GET) == [b"OK"]
    assert rest._client._pool._idle == [finishing]
    await rest.aclose()


async def test_the_connection_of_a_cancelled_write_is_closed(serve):
    release = threading.Event()
    server = serve(hold_response(release))
    rest = AsyncRestTransport(config(server.url(), pool_size=1))
    write = asyncio.create_task(rest.asend(INCR))
    await asyncio.to_thread(server.arrived.acquire)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert not rest._client._finishing
    assert not rest._client._pool._idle
    await rest.aclose()
    release.set()


async def test_connections_that_finish_a_cancelled_read_are_closed_with_the_client(serve):
    release = threading.Event()
    server = serve(hold_response(release))
    rest = AsyncRestTransport(config(server.url(), pool_size=1))
    for finishing in (1, 1):  # at most as many as there are slots
        read = asyncio.create_task(rest.asend(GET))
        await asyncio.to_thread(server.arrived.acquire)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        assert len(rest._client._finishing) == finishing
    (connection,) = rest._client._finishing
    await rest.aclose()
    assert connection.closed.done()
    assert not rest._client._finishing
    release.set()
