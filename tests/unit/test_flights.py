from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from continuum_upstash.flights import AsyncFlights, Flights


def test_concurrent_threads_share_one_run():
    flights, release, runs = Flights(), threading.Event(), []

    def work():
        runs.append(1)
        release.wait(10)
        return object()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(flights.once, "key", work) for _ in range(8)]
        while pool._work_queue.qsize():
            pass
        release.set()
        results = {future.result() for future in futures}
    assert 1 <= len(results) == len(runs) < 8


def test_another_key_runs_by_itself_and_a_later_call_runs_anew():
    flights = Flights()
    assert flights.once("a", lambda: flights.once("b", lambda: 1)) == 1
    assert flights.once("a", lambda: 2) == 2


def test_a_run_inside_a_run_of_the_same_key_does_not_wait_for_itself():
    flights = Flights()
    assert flights.once("a", lambda: flights.once("a", lambda: 1) + 1) == 2


def test_when_the_leader_fails_a_follower_leads():
    flights, entered, release = Flights(), threading.Event(), threading.Event()

    def fails():
        entered.set()
        release.wait(10)
        raise KeyError("leader")

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(flights.once, "key", fails)
        entered.wait(10)
        follower = pool.submit(flights.once, "key", lambda: "mine")
        release.set()
        with pytest.raises(KeyError):
            leader.result()
        assert follower.result() == "mine"
    assert not flights._under_way


async def test_concurrent_tasks_share_one_run():
    flights, runs = AsyncFlights(), []

    async def work():
        runs.append(1)
        await asyncio.sleep(0)
        return "made"

    assert await asyncio.gather(*(flights.once("k", work) for _ in range(9))) == ["made"] * 9
    assert len(runs) == 1


async def test_a_cancelled_leader_leaves_the_run_to_a_follower():
    flights, started = AsyncFlights(), asyncio.Event()

    async def never():
        started.set()
        await asyncio.Event().wait()

    async def quick():
        return "mine"

    leader = asyncio.create_task(flights.once("k", never))
    await started.wait()
    follower = asyncio.create_task(flights.once("k", quick))
    await asyncio.sleep(0)
    leader.cancel()
    assert await follower == "mine"
    assert leader.cancelled()
    assert not flights._under_way


async def test_a_cancelled_follower_leaves_the_leader_alone():
    flights, release = AsyncFlights(), asyncio.Event()

    async def work():
        await release.wait()
        return "made"

    leader = asyncio.create_task(flights.once("k", work))
    await asyncio.sleep(0)
    follower = asyncio.create_task(flights.once("k", work))
    await asyncio.sleep(0)
    follower.cancel()
    release.set()
    assert await leader == "made"


async def test_the_leaders_error_is_its_own():
    flights = AsyncFlights()

    async def fails():
        await asyncio.sleep(0)
        raise KeyError

    results = await asyncio.gather(
        *(flights.once("k", fails) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [KeyError] * 3
