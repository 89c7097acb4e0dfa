"""A subscription over TLS: it can be closed while another thread waits for a message."""

import asyncio
import threading

import pytest
import trustme

from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports.registry import Database
from tests.integration.scripted_server import make_tls_context
from tests.waiting import wait_until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def respond(peer):
    peer.read_request()
    peer.send(HEAD + b"data: subscribe,c,1\n\ndata: message,c,1\n\n")
    peer.wait_until_closed()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server(serve, authority):
    return serve(respond, tls=make_tls_context(authority.issue_cert("127.0.0.1")))


@pytest.fixture
def database(server, authority, tmp_path):
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    return Database(resolve({"REST_URL": server.url(), "TOKEN": "t", "CA_FILE": str(ca_file)}, {}))


def test_a_thread_that_waits_is_ended(database, server):
    received = []
    subscription = database.subscribe("c")
    thread = threading.Thread(target=lambda: received.extend(subscription))
    thread.start()
    wait_until(lambda: received)
    subscription.close()
    thread.join(10)
    assert not thread.is_alive()
    server.wait_until_all_closed()


def test_a_task_that_waits_is_ended(database, server):
    async def read():
        async with await database.asubscribe("c") as subscription:
            assert await subscription.receive(10) == ("c", b"1")
            task = asyncio.create_task(subscription.receive())
            await asyncio.sleep(0)
            subscription.close()
            with pytest.raises(ConnectionFailed, match="closed by this process"):
                await task

    asyncio.run(read())
    server.wait_until_all_closed()


def test_an_untrusted_server_is_an_error(database, server):
    untrusting = Database(database.config.replace(ca_file=None))
    with pytest.raises(ConnectionFailed, match="not trusted"):
        untrusting.subscribe("c")
