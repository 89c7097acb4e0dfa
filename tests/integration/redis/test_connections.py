"""How many connections are open, what shares them, and when they are closed."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from asgiref.sync import async_to_sync

from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded, PoolExhausted
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from continuum_upstash.transports.redis.transport import RedisTransport, make_plain_pool
from tests.integration.redis.tcp_clients import config_for
from tests.waiting import wait_until

GET = ("GET", "k")
# A reply that takes long enough for its callers to overlap.
SLOW = Script("local n = 0 for i = 1, 300000 do n = n + i end return ARGV[1]", None)


def test_a_hundred_batches_in_sequence_share_one_connection(valkey, proxy, tcp):
    client = tcp(proxy.url)
    assert [client.send(GET) for _ in range(100)] == [[None]] * 100
    assert proxy.accepted == 1


def test_a_hundred_batches_at_once_use_no_more_connections_than_the_pool_has(valkey, proxy, tcp):
    client = tcp(proxy.url, pool_size=4)
    batches = [Batch([("EVAL", SLOW, 0, b"%d" % n)]) for n in range(100)]
    assert client.send_all(batches) == [[b"%d" % n] for n in range(100)]
    assert proxy.accepted <= min(4, client.most_connections)


def test_the_error_of_an_exhausted_pool_suggests_a_larger_pool_size(valkey, monkeypatch):
    config = config_for(valkey.url, pool_size=1, read_timeout=0.2)
    redis = RedisTransport(config, make_plain_pool(config))
    entered, leave, connect = threading.Event(), threading.Event(), redis._connector.connect

    def connect_slowly(deadline):
        entered.set()
        leave.wait()
        return connect(deadline)

    monkeypatch.setattr(redis._connector, "connect", connect_slowly)
    threads = ThreadPoolExecutor(1)
    first = threads.submit(redis.send, Batch([GET]))
    entered.wait()
    monkeypatch.undo()
    redis._pool._last_reply_at = inf  # other callers get replies
    with pytest.raises(PoolExhausted, match=r"all 1 connections.*POOL_SIZE"):
        redis.send(Batch([GET]))
    leave.set()
    assert isinstance(first.exception(), DeadlineExceeded)  # the time in the pool counts, too
    threads.shutdown()
    redis.close()


def sync(url, **settings):
    config = config_for(url, **settings)
    return RedisTransport(config, make_plain_pool(config))


def test_closing_ends_the_connections_and_the_next_batch_opens_new_ones(valkey, tcp):
    client = tcp(valkey.url)
    client.send_all([Batch([("EVAL", SLOW, 0, b"x")]) for _ in range(5)])
    client.close_connections()
    wait_until(lambda: valkey.count_connections() == 0)
    assert client.send(GET) == [None]


def test_a_garbage_collected_transport_closes_its_connections(valkey):
    sync(valkey.url).send(Batch([GET]))
    gc.collect()
    wait_until(lambda: valkey.count_connections() == 0)


FORKING = """
import os, sys
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.redis.transport import RedisTransport, make_plain_pool
from tests.integration.redis.tcp_clients import config_for

config = config_for(sys.argv[1])
redis = RedisTransport(config, make_plain_pool(config))
me = lambda: redis.send(Batch([("CLIENT", "ID")]))[0]
before = me()
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    assert me() == before, "the parent lost its connection"
else:
    assert me() != before, "the child uses its parent's connection"
    assert me() == me()
"""


def test_a_forked_child_has_connections_of_its_own(valkey):
    command = [sys.executable, "-W", "error", "-c", FORKING, valkey.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


async def test_replies_find_their_callers_among_a_thousand(valkey):
    redis = AsyncRedisTransport(config_for(valkey.url))
    await redis.asend(Batch([("SET", f"k{n}", b"%d" % n) for n in range(1000)]))
    batches = [Batch([("GET", f"k{n}")], atomic=n % 7 == 0) for n in range(1000)]
    replies = await asyncio.gather(*[redis.asend(batch) for batch in batches])
    assert replies == [[b"%d" % n] for n in range(1000)]
    assert valkey.count_connections() == 1
    await redis.aclose()


async def test_cancelled_tasks_do_not_harm_the_others(valkey):
    redis = AsyncRedisTransport(config_for(valkey.url))
    rng = random.Random(3)
    kept = []
    for n in range(2000):
        task = asyncio.create_task(redis.asend(Batch([("ECHO", b"%d" % n), ("INCR", "n")])))
        if n % 50 == 0:
            await asyncio.sleep(0)
        if rng.random() < 0.5:
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            kept.append((n, task))
    replies = await asyncio.gather(*[task for _, task in kept])
    assert [echo for echo, _ in replies] == [b"%d" % n for n, _ in kept]
    assert valkey.count_connections() == 1
    await redis.aclose()


async def test_a_task_cancelled_while_connecting_does_not_harm_the_others(valkey, proxy):
    redis = AsyncRedisTransport(config_for(proxy.url))
    first = asyncio.create_task(redis.asend(Batch([GET])))
    second = asyncio.create_task(redis.asend(Batch([GET])))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [None]
    assert proxy.accepted == 1
    await redis.aclose()


async def test_a_transaction_stays_together_among_others(valkey):
    redis = AsyncRedisTransport(config_for(valkey.url))
    transfer = Batch([("INCR", "a"), ("DECR", "b")], atomic=True)
    look = Batch([("MGET", "a", "b")])
    results = await asyncio.gather(*[redis.asend(transfer if n % 2 else look) for n in range(400)])
    assert {int(a or 0) + int(b or 0) for ((a, b),) in results[::2]} == {0}
    assert valkey.call("GET", "a") == b"200"
    await redis.aclose()


def test_two_loops_at_once_have_a_connection_each(valkey):
    met = threading.Barrier(2)

    async def use():
        redis = AsyncRedisTransport(config_for(valkey.url))
        ((identity,),) = [await redis.asend(Batch([("CLIENT", "ID")]))]
        await asyncio.to_thread(met.wait)
        return identity

    identities = set()
    threads = [
        threading.Thread(target=lambda: identities.add(asyncio.run(use()))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(identities) == 2


def test_a_loop_that_ends_closes_its_connection(valkey):
    """Nothing is closed explicitly here, as in a sync view that calls async code."""

    async def use():
        return await AsyncRedisTransport(config_for(valkey.url)).asend(Batch([GET]))

    for _ in range(20):
        assert async_to_sync(use)() == [None]
    gc.collect()
    wait_until(lambda: valkey.count_connections() == 0)


def test_a_loop_may_end_in_the_middle_of_connecting(serve):
    came = threading.Event()

    def never_reply(peer):
        came.set()
        peer.wait_until_closed()

    server = serve(never_reply)

    async def use():
        redis = AsyncRedisTransport(config_for(f"redis://:secret@127.0.0.1:{server.port}"))
        task = asyncio.create_task(redis.asend(Batch([GET])))
        await asyncio.to_thread(came.wait)
        task.cancel()

    asyncio.run(use())
    gc.collect()
    server.wait_until_all_closed()


async def test_closing_wakes_the_waiting_tasks(valkey, proxy):
    redis = AsyncRedisTransport(config_for(proxy.url))
    await redis.asend(Batch([GET]))
    proxy.drop_all_traffic()
    waiting = asyncio.create_task(redis.asend(Batch([("INCR", "n")])))
    await asyncio.sleep(0)
    await redis.aclose()
    with pytest.raises(ConnectionFailed, match="closed"):
        await waiting


async def test_closing_while_others_wait_for_the_connection_does_not_cancel_them(valkey, proxy):
    redis = AsyncRedisTransport(config_for(proxy.url))
    waiting = [asyncio.create_task(redis.asend(Batch([("INCR", "n")]))) for _ in range(3)]
    await asyncio.sleep(0)
    await redis.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, list | ConnectionFailed) for each in outcomes), outcomes
    await redis.aclose()


async def test_a_garbage_collected_async_transport_closes_its_connection(valkey):
    await AsyncRedisTransport(config_for(valkey.url)).asend(Batch([GET]))
    gc.collect()
    await asyncio.to_thread(wait_until, lambda: valkey.count_connections() == 0)
