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
