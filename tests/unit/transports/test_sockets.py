"""Connecting to one of the addresses of a host."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest
from redis import ConnectionPool

from continuum_upstash.transports.async_sockets import connect_socket
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.redis.connector import Connector
from continuum_upstash.transports.sockets import connect_to_any

UNSUPPORTED = (250, socket.SOCK_STREAM, 0, "", ("::1", 1))  # as IPv6 is where it is switched off
CLOSED = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield (*CLOSED[:4], sock.getsockname())


@pytest.fixture
def connect(api, monkeypatch):
    """Connect, and return the socket."""

    async def aconnect(addresses):
        loop = asyncio.get_running_loop()

        async def getaddrinfo(*_, **__):
            return addresses

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        deadline = Deadline(5.0, clock=loop.time)
        return await connect_socket("db.example", 6379, deadline, lambda _: None)

    if api == "sync":
        return lambda addresses: connect_to_any(addresses, lambda: 5.0)
    return lambda addresses: asyncio.run(aconnect(addresses))


@pytest.mark.parametrize("other", [UNSUPPORTED, CLOSED], ids=["unsupported", "closed"])
def test_an_address_that_cannot_be_used_is_skipped(connect, server, other):
    with closing(connect([other, server])) as sock:
        assert sock.getpeername() == server[-1]
    with closing(connect([server, other])) as sock:
        assert sock.getpeername() == server[-1]


def test_the_error_of_the_last_address_is_raised(connect):
    with pytest.raises(ConnectionRefusedError):
        connect([UNSUPPORTED, CLOSED])
    with pytest.raises(OSError, match="not supported"):
        connect([CLOSED, UNSUPPORTED])
    with pytest.raises(OSError, match="no address"):
        connect([])


async def test_the_async_tcp_connector_has_one_timeout_for_all_addresses(monkeypatch):
    loop, tried = asyncio.get_running_loop(), []

    async def getaddrinfo(*_, **__):
        return [CLOSED] * 3

    async def hang(*_):
        tried.append(loop.time())
        await asyncio.sleep(5)

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(loop, "sock_connect", hang)
    started = loop.time()
    connector = Connector(ConnectionPool.from_url("redis://db.example"), "shop", 0.2)
    with pytest.raises(TimeoutError):
        await connector.connect(asyncio.Protocol)
    assert len(tried) == 3
    assert loop.time() - started < 0.5
