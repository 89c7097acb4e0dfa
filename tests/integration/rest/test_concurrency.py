"""Threads, tasks, event loops and forked children use connections at the same time."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from textwrap import dedent

import pytest
import trustme
from asgiref.sync import async_to_sync

from continuum_upstash.errors import Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.rest.transport import AsyncRestTransport, RestTransport
from tests.integration.rest.rest_clients import config
from tests.integration.scripted_server import (
    OK,
    ScriptedServer,
    http_response,
    make_tls_context,
    respond_ok,
)
from tests.pool_slots import count_free

GET = Batch([("GET", "k")])
INCR = Batch([("INCR", "n")])


def echo(peer):
    """Respond with the request itself, so that a swapped reply is detected."""
    while (body := peer.read_request()) is not None:
        peer.send(http_response(b"$%d\r\n%b\r\n" % (len(body), body)))


def batch(number: int) -> Batch:
    return Batch([("GET", f"key:{number}")])


def reply(number: int) -> list:
    return [b'["GET","key:%d"]' % number]


def test_a_hundred_threads_open_at_most_pool_size_connections(serve):
    server = serve(echo)
    with (
        closing(RestTransport(config(server.url(), pool_size=4))) as rest,
        ThreadPoolExecutor(100) as threads,
    ):
        start = threading.Barrier(100)

        def work(number):
            start.wait()
            return [rest.send(batch(number + 100 * turn)) for turn in range(5)]

        for number, got in enumerate(threads.map(work, range(100))):
            assert got == [reply(number + 100 * turn) for turn in range(5)]
    assert server.accepted <= 4
    server.wait_until_all_closed()


async def test_a_hundred_tasks_open_at_most_pool_size_connections(serve):
    server = serve(echo)
    rest = AsyncRestTransport(config(server.url(), pool_size=4))
    for _ in range(3):
        got = await asyncio.gather(*[rest.asend(batch(number)) for number in range(100)])
        assert got == [reply(number) for number in range(100)]
    assert server.accepted <= 4
    await rest.aclose()
    server.wait_until_all_closed()


async def test_a_cancelled_task_closes_only_its_own_connection(serve):
    release = threading.Event()

    def behave(peer):
        while (body := peer.read_request()) is not None:
            if b"slow" in body:
                release.wait(20)
            peer.send(http_response())

    server = serve(behave)
    rest = AsyncRestTransport(config(server.url(), pool_size=2))
    slow = asyncio.create_task(rest.asend(Batch([("GET", "slow")])))
    await asyncio.to_thread(server.arrived.acquire)
    slow.cancel()
    assert await rest.asend(GET) == [b"OK"]
    with pytest.raises(asyncio.CancelledError):
        await slow
    release.set()
    got = await asyncio.gather(*[rest.asend(GET) for _ in range(20)])
    assert got == [[b"OK"]] * 20


@pytest.fixture(params=["http", "https"])
def echoing(request, serve, tmp_path):
    """Return a server that echoes, and the settings of its clients."""
    if request.param == "http":
        return serve(echo), {}
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = serve(echo, tls=make_tls_context(authority.issue_cert("localhost")))
    return server, {"ca_file": str(tmp_path / "ca.pem")}


async def test_many_cancellations_leave_the_pool_complete(echoing):
    server, settings = echoing
    rest = AsyncRestTransport(config(server.url("localhost"), pool_size=3, **settings))
    chance = random.Random(7)
    for _ in range(10):
        tasks = [asyncio.create_task(rest.asend(batch(number))) for number in range(60)]
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        cancelled = set(chance.sample(range(60), 30))
        for number in cancelled:
            tasks[number].cancel()
        got = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(got):
            assert result == reply(number) or (
                number in cancelled and isinstance(result, asyncio.CancelledError)
            )
    assert count_free(rest._client._pool) == 3
    await rest.aclose()
    server.wait_until_all_closed()


async def test_failing_tasks_leave_the_other_tasks_and_the_pool_in_order(serve):
    def fail_sometimes(peer):
        while (body := peer.read_request()) is not None:
            if b"bad" in body:
                return
            peer.send(http_response())

    rest = AsyncRestTransport(config(serve(fail_sometimes).url(), pool_size=3))
    bad = Batch([("INCR", "bad")])
    got = await asyncio.gather(
        *[rest.asend(bad if number % 3 else GET) for number in range(60)], return_exceptions=True
    )
    for number, result in enumerate(got):
        assert isinstance(result, Unavailable) if number % 3 else result == [b"OK"]


def test_closed_event_loops_leave_no_connection_open(serve):
    server = serve()

    async def view():
        rest = AsyncRestTransport(config(server.url()))
        return await asyncio.gather(*[rest.asend(GET) for _ in range(3)])

    for _ in range(20):
        assert async_to_sync(view)() == [[b"OK"]] * 3
    server.wait_until_all_closed()


def script(text: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", dedent(text), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_loop_that_closes_with_requests_in_flight_prints_nothing(serve):
    server = serve(lambda peer: respond_ok(peer) if peer.number == 1 else peer.wait_until_closed())
    done = script(
        """
        import asyncio, gc, sys
        from continuum_upstash.plans.effects import Batch
        from continuum_upstash.transports.rest.transport import AsyncRestTransport
        from tests.integration.rest.rest_clients import config

        async def main():
            asyncio.get_running_loop().slow_callback_duration = 60  # the machine may be busy
            rest = AsyncRestTransport(config(sys.argv[1]))
            await rest.asend(Batch([("GET", "k")]))
            tasks = [asyncio.create_task(rest.asend(Batch([("GET", "k")]))) for _ in range(5)]
            await tasks[0]
            return tasks

        asyncio.run(main(), debug=True)
        gc.collect()
        print("done")
        """,
        server.url(),
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
    server.wait_until_all_closed()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_drops_inherited_connections_without_harm_to_its_parent(serve, tmp_path):
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    server = serve(tls=make_tls_context(authority.issue_cert("localhost")))
    done = script(
        """
        import gc, os, sys
        from continuum_upstash.plans.effects import Batch
        from continuum_upstash.transports.rest.transport import RestTransport
        from tests.integration.rest.rest_clients import config

        settings = config(sys.argv[1], ca_file=sys.argv[2])
        get = Batch([("GET", "k")])
        rest = RestTransport(settings)
        assert rest.send(get) == [b"OK"]
        for _ in range(3):
            child = os.fork()
            if not child:
                del rest  # as the registry does
                gc.collect()
                own = RestTransport(settings)
                assert own.send(get) == [b"OK"]
                own.close()
                sys.exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            assert rest.send(get) == [b"OK"]
        rest.close()
        print("done")
        """,
        server.url("localhost"),
        str(ca_file),
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
    assert (server.accepted, len(server.requests)) == (4, 7)


def test_a_garbage_collected_client_closes_its_connections(serve):
    server: ScriptedServer = serve()
    rest = RestTransport(config(server.url()))
    rest.send(GET)
    del rest
    server.wait_until_all_closed()


def test_failing_threads_leave_the_pool_in_order(serve):
    def fail_sometimes(peer):
        while (body := peer.read_request()) is not None:
            if b"INCR" in body:
                return
            peer.send(http_response(OK))

    with (
        closing(RestTransport(config(serve(fail_sometimes).url(), pool_size=3))) as rest,
        ThreadPoolExecutor(20) as threads,
    ):

        def work(number):
            try:
                return rest.send(INCR if number % 3 else GET)
            except Unavailable:
                return "failed"

        got = list(threads.map(work, range(60)))
        assert got == ["failed" if number % 3 else [b"OK"] for number in range(60)]
        assert count_free(rest._client._pool) == 3
