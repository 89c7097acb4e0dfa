"""Acquiring and releasing the connections of a pool, without any connection."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic, sleep

import pytest

from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.rest.async_connection_pool import AsyncHttpConnectionPool
from continuum_upstash.transports.rest.connection_pool import HttpConnectionPool


def test_a_released_connection_can_be_acquired_again():
    pool = HttpConnectionPool(2)
    for _ in range(3):
        assert pool.acquire(Deadline(60)) is None
        assert pool.acquire(Deadline(60)) is None
        pool.release(None)
        pool.release(None)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.01])
def test_an_exhausted_pool_is_waited_for_until_the_deadline_and_loses_nothing(seconds):
    pool = HttpConnectionPool(1)
    pool.acquire(Deadline(60))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            pool.acquire(Deadline(seconds))
    pool.release(None)
    assert pool.acquire(Deadline(0)) is None


def test_threads_acquire_in_the_order_of_their_arrival():
    pool = HttpConnectionPool(1)
    pool.acquire(Deadline(60))
    served: list[int] = []

    def wait(number):
        pool.acquire(Deadline(60))
        served.append(number)
        pool.release(None)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(pool._waiters) <= number:
            sleep(0)
    pool.release(None)
    for thread in threads:
        thread.join()
    assert served == list(range(5))
    assert pool.acquire(Deadline(0)) is None


@pytest.mark.parametrize(("own", "extended"), [(None, True), (60.0, False)])
def test_waiting_for_a_connection_is_not_the_servers_time(own, extended):
    pool = HttpConnectionPool(1)
    pool.acquire(Deadline(60))
    timer = threading.Timer(0.05, pool.release, (None,))
    deadline = Deadline(60, own)
    before, started = deadline.at, monotonic()
    timer.start()
    assert pool.acquire(deadline) is None
    waited = monotonic() - started
    assert deadline.at - before == pytest.approx(waited if extended else 0, abs=0.02)


async def test_tasks_acquire_in_the_order_of_their_arrival():
    pool = AsyncHttpConnectionPool(1)
    await pool.acquire(Deadline(60))
    served: list[int] = []

    async def wait(number):
        await pool.acquire(Deadline(60))
        served.append(number)
        pool.release(None)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    pool.release(None)
    await asyncio.wait(tasks)
    assert served == [0, 1, 3, 4]
    assert await pool.acquire(Deadline(60)) is None


async def test_a_connection_granted_to_a_cancelled_task_goes_to_the_next():
    pool = AsyncHttpConnectionPool(1)
    await pool.acquire(Deadline(60))
    waiting = asyncio.create_task(pool.acquire(Deadline(60)))
    await asyncio.sleep(0)
    pool.release(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.wait_for(pool.acquire(Deadline(60)), 10) is None


async def test_tasks_wait_for_an_exhausted_pool_until_the_deadline():
    pool = AsyncHttpConnectionPool(1)
    await pool.acquire(Deadline(60))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await pool.acquire(Deadline(0.01))
    pool.release(None)
    assert await pool.acquire(Deadline(0)) is None
