"""One deadline covers a whole call: a server that sends one byte at a time cannot extend it."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from continuum_upstash.errors import Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from continuum_upstash.transports.redis.transport import RedisTransport, make_plain_pool
from continuum_upstash.transports.rest.transport import AsyncRestTransport, RestTransport
from tests.integration.redis.tcp_clients import config_for
from tests.integration.rest.rest_clients import config
from tests.integration.scripted_server import http_response

LIMITS = {"read_timeout": 0.3, "connect_timeout": 0.3}
INCR = Batch([("INCR", "n")])
LONGEST = 1.5  # seconds: the sum of both limits, twice, and some time for a busy machine


def drip(data):
    """Answer with one byte each 0.1 s, far within the limit of a read."""

    def behave(peer):
        peer.sock.recv(65536)
        for byte in data:
            if peer.server.stopping.wait(0.1):
                return
            peer.send(bytes([byte]))

    return behave


def make_config(kind, server):
    if kind == "redis":
        return config_for(f"redis://:secret@127.0.0.1:{server.port}", **LIMITS)
    if kind == "rest":
        return config(server.url(), **LIMITS)
    # Through a proxy: the CONNECT of a tunnel, or the request itself.
    return config("https://db.example" if kind == "tunnel" else "http://db.example", **LIMITS)


KINDS = ["rest", "redis", "proxy", "tunnel"]
ANSWER = http_response(b"$50\r\n" + 50 * b"x" + b"\r\n")


@pytest.fixture
def settings(request, serve, monkeypatch):
    server = serve(drip(50 * b"x" if request.param == "redis" else ANSWER))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", server.url())
    monkeypatch.setenv("HTTPS_PROXY", server.url())
    return make_config(request.param, server)


@pytest.mark.parametrize("settings", KINDS, indirect=True)
def test_a_sync_call_ends_at_its_deadline(settings):
    is_redis = settings.mode == "redis"
    make = RestTransport
    transport = RedisTransport(settings, make_plain_pool(settings)) if is_redis else make(settings)
    started = monotonic()
    with pytest.raises(Unavailable):
        transport.send(INCR)
    assert monotonic() - started < LONGEST
    transport.close()


@pytest.mark.parametrize("settings", KINDS, indirect=True)
async def test_an_async_call_ends_at_its_deadline(settings):
    make = AsyncRedisTransport if settings.mode == "redis" else AsyncRestTransport
    transport = make(settings)
    started = monotonic()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(transport.asend(INCR), 20)
    assert monotonic() - started < LONGEST
    await transport.aclose()
