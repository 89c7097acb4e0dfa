"""A reply that arrived in time counts, even if the process was stopped or busy meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from time import sleep

import pytest

from continuum_upstash.errors import DeadlineExceeded
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from continuum_upstash.transports.rest.transport import AsyncRestTransport
from continuum_upstash.transports.wrappers.deadline import AsyncDeadlineTransport
from tests.integration.redis.tcp_clients import config_for
from tests.integration.rest.rest_clients import config
from tests.integration.scripted_server import OK, http_response

LIMITS = {"read_timeout": 0.3, "connect_timeout": 0.3}
GET = Batch([("GET", "k")])
INCR = Batch([("INCR", "n")])


def respond_after(seconds, *parts):
    """Answer each request after `seconds`, over REST or TCP."""

    def behave(peer):
        while peer.sock.recv(65536):
            for part in parts:
                sleep(seconds)
                peer.send(part)

    return behave


REST, TCP = http_response(), OK
SPLIT_REST = (REST[:20], REST[20:])
SPLIT_TCP = (OK[:2], OK[2:])


def make_rest(server):
    return config(server.url(), **LIMITS)


def make_tcp(server):
    return config_for(f"redis://127.0.0.1:{server.port}", **LIMITS)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda each: AsyncRestTransport(make_rest(each)), (REST,)),
        (lambda each: AsyncRestTransport(make_rest(each)), SPLIT_REST),
        (lambda each: AsyncRedisTransport(make_tcp(each)), (TCP,)),
        (lambda each: AsyncRedisTransport(make_tcp(each)), SPLIT_TCP),
    ],
    ids=["rest", "rest-split", "redis", "redis-split"],
)
@pytest.mark.parametrize("deadline_s", [None, 0.2])
async def test_a_busy_loop_reads_what_has_arrived_before_it_times_out(
    serve, make, parts, deadline_s
):
    server = serve(respond_after(0.02, *parts))
    inner = make(server)
    transport = AsyncDeadlineTransport(inner, make_rest(server))
    await transport.asend(GET)
    task = asyncio.create_task(transport.asend(INCR._replace(deadline_s=deadline_s)))
    await asyncio.sleep(0.005)
    sleep(0.6)  # noqa: ASYNC251 the loop is busy
    assert await task == [b"OK"]
    await inner.aclose()


@pytest.mark.parametrize("kind", ["rest", "redis"])
async def test_a_busy_loop_still_times_out_without_a_reply(serve, kind):
    server = serve(respond_after(5))
    make = {"rest": AsyncRestTransport, "redis": AsyncRedisTransport}[kind]
    settings = make_rest(server) if kind == "rest" else make_tcp(server)
    transport = make(settings)
    task = asyncio.create_task(transport.asend(INCR))
    await asyncio.sleep(0.05)
    sleep(0.6)  # noqa: ASYNC251 the loop is busy
    with pytest.raises(DeadlineExceeded):
        await task
    await transport.aclose()


def test_a_stopped_process_reads_what_has_arrived_before_it_times_out(serve):
    for kind, reply in (("rest", REST), ("redis", TCP)):
        received, child_stopped = threading.Event(), threading.Event()

        def behave(peer, reply=reply, received=received, child_stopped=child_stopped):
            peer.sock.recv(65536)
            peer.send(reply)
            peer.sock.recv(65536)
            received.set()
            child_stopped.wait(10)
            peer.send(reply)
            peer.wait_until_closed()

        server = serve(behave)
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.integration.interruption.two_calls",
                kind,
                str(server.port),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert received.wait(20)
        os.kill(child.pid, signal.SIGSTOP)
        child_stopped.set()
        sleep(0.6)
        os.kill(child.pid, signal.SIGCONT)
        output, _ = child.communicate(timeout=20)
        assert output.splitlines() == ["[b'OK']", "[b'OK']"], kind
