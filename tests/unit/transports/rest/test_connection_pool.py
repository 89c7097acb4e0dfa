"""Who gets a place in a pool of connections, without any connection."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic, sleep

import pytest

from continuum_upstash.transports.rest import async_connection_pool, connection_pool


def far() -> float:
    return monotonic() + 60


def test_a_place_that_is_given_back_can_be_taken_again():
    pool = connection_pool.Pool(2)
    for _ in range(3):
        assert pool.take(far()) is None
        assert pool.take(far()) is None
        pool.give(None)
        pool.give(None)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.01])
def test_a_full_pool_is_waited_for_until_the_deadline_and_no_place_is_lost(seconds):
    pool = connection_pool.Pool(1)
    pool.take(far())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            pool.take(monotonic() + seconds)
    pool.give(None)
    assert pool.take(monotonic()) is None


def test_threads_get_places_in_the_order_in_which_they_asked():
    pool = connection_pool.Pool(1)
    pool.take(far())
    served: list[int] = []

    def wait(number):
        pool.take(far())
        served.append(number)
        pool.give(None)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(pool._waiting) <= number:
            sleep(0)
    pool.give(None)
    for thread in threads:
        thread.join()
    assert served == list(range(5))
    assert pool.take(monotonic()) is None


async def test_tasks_get_places_in_the_order_in_which_they_asked():
    pool = async_connection_pool.Pool(1)
    deadline = asyncio.get_running_loop().time() + 60
    await pool.take(deadline)
    served: list[int] = []

    async def wait(number):
        await pool.take(deadline)
        served.append(number)
        pool.give(None)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    pool.give(None)
    await asyncio.wait(tasks)
    assert served == [0, 1, 3, 4]
    assert await pool.take(deadline) is None


async def test_a_place_that_comes_with_the_cancellation_goes_to_the_next():
    pool = async_connection_pool.Pool(1)
    deadline = asyncio.get_running_loop().time() + 60
    await pool.take(deadline)
    waiting = asyncio.create_task(pool.take(deadline))
    await asyncio.sleep(0)
    pool.give(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.wait_for(pool.take(deadline), 10) is None


async def test_a_full_pool_is_waited_for_until_the_deadline():
    pool = async_connection_pool.Pool(1)
    clock = asyncio.get_running_loop().time
    await pool.take(clock())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await pool.take(clock() + 0.01)
    pool.give(None)
    assert await pool.take(clock()) is None
