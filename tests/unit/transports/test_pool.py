"""Acquiring and releasing the slots of a pool, without any connection."""

from __future__ import annotations

import asyncio
import gc
import threading
from time import monotonic, sleep
from weakref import ref

import pytest

from continuum_upstash.errors import DeadlineExceeded, PoolExhausted
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.pool import ConnectionPool, Slot
from continuum_upstash.transports.rest.async_pool import AsyncConnectionPool
from tests.pool_slots import count_free


class Connection:
    """A connection that is never used."""

    def __init__(self, *, reusable=True, last_reply_at=0.0):
        self.reusable = reusable
        self.last_reply_at = last_reply_at
        self.is_closed = False

    def is_alive(self):
        return not self.is_closed

    def close(self):
        self.is_closed = True


def acquire(pool, deadline=None):
    slot = Slot()
    pool.acquire(slot, deadline or Deadline(60))
    return slot


async def aacquire(pool, deadline=None):
    slot = Slot()
    await pool.acquire(slot, deadline or Deadline(60))
    return slot


def test_a_released_slot_can_be_acquired_again():
    pool = ConnectionPool(2, "db")
    for _ in range(3):
        for slot in (acquire(pool), acquire(pool)):
            assert slot.connection is None
            pool.release(slot)
    assert count_free(pool) == 2


def test_a_reusable_connection_is_kept_and_any_other_closed():
    pool = ConnectionPool(2, "db")
    slot = acquire(pool)
    kept = slot.connection = Connection()
    pool.release(slot)
    slot = acquire(pool)
    assert slot.connection is kept
    kept.reusable = False
    pool.release(slot)
    assert kept.is_closed
    assert acquire(pool).connection is None


def test_releasing_twice_frees_one_slot_and_keeps_one_connection():
    pool = ConnectionPool(2, "db")
    slot = acquire(pool)
    slot.connection = Connection()
    pool.release(slot)
    pool.release(slot)
    assert (count_free(pool), len(pool._idle)) == (2, 1)


def test_a_slot_that_is_never_released_is_free_when_it_is_garbage_collected():
    pool = ConnectionPool(1, "db")
    slot = acquire(pool)
    assert count_free(pool) == 0
    del slot
    gc.collect()
    assert acquire(pool, Deadline(0)).connection is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.01])
def test_an_exhausted_pool_is_waited_for_until_the_deadline_and_loses_nothing(seconds):
    pool = ConnectionPool(1, "db")
    slot = acquire(pool)
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            acquire(pool, Deadline(seconds))
    pool.release(slot)
    assert acquire(pool, Deadline(0)).connection is None


@pytest.mark.parametrize(
    ("replies", "own", "error"),
    [
        (True, None, PoolExhausted),
        (False, None, DeadlineExceeded),
        (False, 0.05, PoolExhausted),
    ],
)
def test_a_full_pool_is_an_outage_only_if_the_server_does_not_reply_at_all(replies, own, error):
    pool = ConnectionPool(1, "db")
    first = acquire(pool)
    started = monotonic()
    next_holders = []

    def hand_over():
        first.connection = Connection(last_reply_at=started + 60 if replies else 0.0)
        pool.release(first)

    taker = threading.Thread(target=lambda: next_holders.append(acquire(pool)))
    taker.start()
    while not pool._waiters:
        sleep(0)
    timer = threading.Timer(0.02, hand_over)
    timer.start()
    with pytest.raises(error) as raised:
        acquire(pool, Deadline(0.1, own))
    assert type(raised.value) is error
    taker.join()
    timer.join()


def test_a_waiting_caller_that_is_never_woken_finds_the_free_slot_by_itself():
    pool = ConnectionPool(1, "db")
    slot = acquire(pool)
    timer = threading.Timer(0.02, lambda: setattr(slot, "claim", None))
    timer.start()
    assert acquire(pool, Deadline(10)).connection is None
    timer.join()


def test_a_waiting_caller_that_disappears_does_not_block_the_others():
    pool = ConnectionPool(1, "db")
    slot = acquire(pool)

    class Gone:
        until = monotonic() + 60

    gone = Gone()
    pool._waiters.append(ref(gone))
    del gone
    pool.release(slot)
    assert acquire(pool, Deadline(0.5)).connection is None


def test_threads_acquire_in_the_order_of_their_arrival():
    pool = ConnectionPool(1, "db")
    first = acquire(pool)
    served: list[int] = []

    def wait(number):
        slot = acquire(pool)
        served.append(number)
        pool.release(slot)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(pool._waiters) <= number:
            sleep(0)
    pool.release(first)
    for thread in threads:
        thread.join()
    assert served == list(range(5))
    assert count_free(pool) == 1


@pytest.mark.parametrize(("own", "extended"), [(None, True), (60.0, False)])
def test_waiting_for_a_connection_is_not_the_servers_time(own, extended):
    pool = ConnectionPool(1, "db")
    timer = threading.Timer(0.05, pool.release, (acquire(pool),))
    deadline = Deadline(60, own)
    before, started = deadline.at, monotonic()
    timer.start()
    acquire(pool, deadline)
    waited = monotonic() - started
    assert deadline.at - before == pytest.approx(waited if extended else 0, abs=0.02)


async def test_tasks_acquire_in_the_order_of_their_arrival():
    pool = AsyncConnectionPool(1, "db")
    first = await aacquire(pool)
    served: list[int] = []

    async def wait(number):
        slot = await aacquire(pool)
        served.append(number)
        pool.release(slot)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    pool.release(first)
    await asyncio.wait(tasks)
    assert served == [0, 1, 3, 4]
    assert count_free(pool) == 1


async def test_a_slot_freed_for_a_cancelled_task_goes_to_the_next():
    pool = AsyncConnectionPool(1, "db")
    first = await aacquire(pool)
    waiting = asyncio.create_task(aacquire(pool))
    await asyncio.sleep(0)
    pool.release(first)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await asyncio.wait_for(aacquire(pool), 10)).connection is None


async def test_tasks_wait_for_an_exhausted_pool_until_the_deadline():
    pool = AsyncConnectionPool(1, "db")
    first = await aacquire(pool)
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            await aacquire(pool, Deadline(0.01))
    pool.release(first)
    assert (await aacquire(pool, Deadline(0))).connection is None
