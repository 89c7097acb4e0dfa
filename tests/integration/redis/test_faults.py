"""The TCP transport when the network or the server fails."""

from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    ReadOnlyReplica,
    Unavailable,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from tests.integration.redis.tcp_clients import config_for

GET = ("GET", "k")
INCR = ("INCR", "n")
ALWAYS_CHECKED = to_hashable({"CONNECTION_POOL_KWARGS": {"health_check_interval": 1e-9}})
LONG = Script("return {redis.call('INCR', KEYS[1]), string.rep('x', 100000)}", None)


def make_checking_client(tcp, proxy, **settings):
    """Return a client that checks its connection before each batch."""
    return tcp(proxy.url, make_pool=make_django_pool, redis_options=ALWAYS_CHECKED, **settings)


def test_a_read_is_retried_when_its_connection_was_dropped_without_notice(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=0.8)
    client.send(("SET", "k", b"x"))
    proxy.drop_all_traffic()
    assert client.send(GET) == [b"x"]
    assert proxy.accepted == 2
    assert client.send(GET) == [b"x"]
    assert proxy.accepted == 2


def test_a_transaction_of_idempotent_writes_is_retried_as_a_whole(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=0.8)
    client.send(GET)
    proxy.drop_all_traffic()
    assert client.send(("SET", "k", b"x"), ("DEL", "n"), atomic=True) == [b"OK", 0]
    assert valkey.count_calls()["exec"] == 1


def test_an_increment_after_a_long_idle_time_is_preceded_by_a_ping(valkey, proxy, tcp):
    client = make_checking_client(tcp, proxy, read_timeout=0.8)
    assert client.send(INCR) == [1]
    proxy.drop_all_traffic()
    assert client.send(INCR) == [2]
    assert proxy.received.count(b"INCR") == 2
    assert proxy.received.count(b"PING") == 1
    assert proxy.accepted == 2


def test_a_connection_that_replies_to_the_ping_is_kept(valkey, proxy, tcp):
    client = make_checking_client(tcp, proxy)
    assert [client.send(INCR) for _ in range(3)] == [[1], [2], [3]]
    assert (proxy.accepted, proxy.received.count(b"PING")) == (1, 2)


def test_an_increment_that_the_server_may_have_received_is_never_sent_again(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=0.4)
    assert client.send(INCR) == [1]
    proxy.drop_all_traffic()
    with pytest.raises(DeadlineExceeded, match=r"default.*READ_TIMEOUT \(0\.4 s\)"):
        client.send(INCR)
    assert proxy.received.count(b"INCR") == 2
    assert client.send(INCR) == [2]


def test_a_read_is_retried_when_the_reply_is_incomplete(valkey, proxy, tcp):
    client = tcp(proxy.url)
    client.send(("SET", "k", b"x" * 100_000))
    proxy.drop_after = 50_000
    with pytest.raises(ConnectionFailed):  # on the second connection, too
        client.send(GET)
    assert proxy.accepted == 2
    client.send(("PING",))
    proxy.drop_after = None
    proxy.close_connections()
    assert client.send(GET) == [b"x" * 100_000]


def test_a_script_whose_reply_is_incomplete_is_not_run_again(valkey, proxy, tcp):
    client = tcp(proxy.url)
    client.send(GET)
    proxy.drop_after = 50_000
    with pytest.raises(ConnectionFailed) as caught:
        client.send(("EVAL", LONG, 1, "n"))
    assert not caught.value.unsent
    assert valkey.call("GET", "n") == b"1"


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_a_connection_that_was_closed_while_idle_costs_nothing(valkey, proxy, tcp, reset):
    client = tcp(proxy.url)
    assert client.send(INCR) == [1]
    proxy.close_connections(reset=reset)
    assert client.send(INCR) == [2]
    assert proxy.received.count(b"INCR") == 2


def test_slow_partial_replies_do_not_extend_the_deadline(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=0.5)
    client.send(("SET", "n", b"x" * 10_000))
    proxy.byte_delay = 0.02
    with pytest.raises(DeadlineExceeded):
        client.send(("EVAL", LONG, 1, "other"))


def test_a_reply_in_pieces_is_not_taken_for_a_stale_connection(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=2.0)
    client.send(("SET", "k", b"x" * 30))
    proxy.byte_delay = 0.04
    assert client.send(GET) == [b"x" * 30]
    assert proxy.accepted == 1


def test_no_batch_gets_the_replies_of_one_that_timed_out(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=0.3)
    client.send(("SET", "a", b"a"), ("SET", "b", b"b"))
    proxy.byte_delay = 0.2
    with pytest.raises(Unavailable):
        client.send(("GET", "a"))
    proxy.byte_delay = 0
    assert client.send(("GET", "b")) == [b"b"]


def test_only_the_retryable_one_of_two_batches_is_sent_again(valkey, proxy, tcp):
    client = tcp(proxy.url, read_timeout=0.8)
    client.send_all([Batch([("SET", "k", b"x")]), Batch([GET])])
    proxy.drop_all_traffic()
    read, increment = client.send_all([Batch([GET]), Batch([INCR])])
    assert read == [b"x"]
    # A thread that found no idle connection has opened one that works.
    assert isinstance(increment, Unavailable) or increment == [1]
    assert proxy.received.count(b"INCR") == 1


async def test_reads_behind_a_batch_that_timed_out_are_sent_again(valkey, proxy):
    redis = AsyncRedisTransport(config_for(proxy.url, read_timeout=0.8))
    await redis.asend(Batch([("SET", "k", b"x")]))
    proxy.drop_all_traffic()
    increment = asyncio.create_task(redis.asend(Batch([INCR])))
    await asyncio.sleep(0.3)
    read = asyncio.create_task(redis.asend(Batch([GET])))
    with pytest.raises(DeadlineExceeded):
        await increment
    assert await read == [b"x"]
    assert proxy.received.count(b"INCR") == 1
    await redis.aclose()


async def test_an_unsent_increment_is_sent_on_the_next_connection(valkey, proxy):
    redis = AsyncRedisTransport(config_for(proxy.url))
    await redis.asend(Batch([GET]))
    proxy.reading.clear()
    value = b"x" * 30_000_000  # more than all buffers hold
    write = asyncio.create_task(redis.asend(Batch([("SET", "k", value)])))
    increment = asyncio.create_task(redis.asend(Batch([INCR])))
    await asyncio.sleep(0)  # both are pending; the second waits for space in the buffers
    proxy.close_connections()
    proxy.reading.set()
    assert await write == [b"OK"]
    assert await increment == [1]
    assert proxy.received.count(b"INCR") == 1
    await redis.aclose()


def test_a_port_without_a_server_is_reported_at_once(tcp, unused_tcp_port):
    client = tcp(f"redis://:secret@127.0.0.1:{unused_tcp_port}")
    with pytest.raises(ConnectionFailed, match=r"'default' .*Connection refused") as caught:
        client.send(INCR)
    assert caught.value.unsent
    assert "secret" not in str(caught.value)


def test_a_host_that_does_not_exist_is_reported(tcp):
    with pytest.raises(ConnectionFailed, match="cannot connect") as caught:
        tcp("redis://no-such-host.invalid").send(INCR)
    assert caught.value.unsent


def test_a_server_that_never_replies_is_unavailable(serve, tcp):
    server = serve(lambda peer: peer.wait_until_closed())
    client = tcp(f"redis://:secret@127.0.0.1:{server.port}", read_timeout=0.3)
    with pytest.raises(Unavailable, match="default"):
        client.send(INCR)
    client.close()
    server.wait_until_all_closed()


def test_a_server_of_another_protocol_is_detected(serve, tcp):
    server = serve(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    client = tcp(f"redis://127.0.0.1:{server.port}")
    with pytest.raises(ConnectionFailed, match=r"protocol error|cannot connect"):
        client.send(INCR)


def test_an_extra_reply_closes_the_connection(serve, tcp):
    def reply_twice(peer):
        peer.sock.recv(1000)
        peer.send(b":1\r\n:2\r\n")
        peer.wait_until_closed()

    server = serve(reply_twice)
    client = tcp(f"redis://127.0.0.1:{server.port}")
    first, second = (client.send_all([Batch([INCR])])[0] for _ in range(2))
    assert [2] not in (first, second)
    assert server.accepted == 2


def test_a_connection_to_a_read_only_replica_is_replaced(serve, tcp):
    def reply_readonly(peer):
        while peer.sock.recv(1000):
            peer.send(b"-READONLY You can't write against a read only replica.\r\n")

    server = serve(reply_readonly)
    client = tcp(f"redis://127.0.0.1:{server.port}")
    for _ in range(2):
        (error,) = client.send(INCR)
        assert isinstance(error, ReadOnlyReplica)
    assert server.accepted == 2
