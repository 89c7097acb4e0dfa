from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from types import SimpleNamespace

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import DeadlineExceeded
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.registry import Database
from continuum_upstash.transports.singleflight import AsyncSingleFlightGroup, SingleFlightGroup


def test_concurrent_threads_share_one_run():
    group, release, runs = SingleFlightGroup(), threading.Event(), []

    def work():
        runs.append(1)
        release.wait(10)
        return object()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(group.run, "key", work) for _ in range(8)]
        while pool._work_queue.qsize():
            pass
        release.set()
        results = {future.result() for future in futures}
    assert 1 <= len(results) == len(runs) < 8


def test_other_keys_and_later_calls_run_again():
    group = SingleFlightGroup()
    assert group.run("a", lambda: group.run("b", lambda: 1)) == 1
    assert group.run("a", lambda: 2) == 2


def test_a_nested_run_of_the_same_key_does_not_wait():
    group = SingleFlightGroup()
    assert group.run("a", lambda: group.run("a", lambda: 1) + 1) == 2


def failing(entered, release):
    def fails():
        entered.set()
        release.wait(10)
        raise KeyError("leader")

    return fails


def test_when_the_leader_fails_the_followers_run_at_once_and_not_one_by_one():
    group, entered, release = SingleFlightGroup(), threading.Event(), threading.Event()
    together = threading.Barrier(4, timeout=10)
    with ThreadPoolExecutor(5) as pool:
        leader = pool.submit(group.run, "key", failing(entered, release))
        entered.wait(10)
        followers = [pool.submit(group.run, "key", together.wait) for _ in range(4)]
        release.set()
        with pytest.raises(KeyError):
            leader.result()
        assert {follower.result() for follower in followers} == {0, 1, 2, 3}
    assert not group._in_flight


def test_runs_whose_threads_wait_for_each_other_continue_alone(monkeypatch):
    monkeypatch.setattr("continuum_upstash.transports.singleflight.MAX_WAIT_SECONDS", 0.05)
    group, both = SingleFlightGroup(), threading.Barrier(2, timeout=10)

    def run(other):
        both.wait()
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(group.run, other, lambda: f"{other} again").result()

    with ThreadPoolExecutor(2) as pool:
        ends = [
            pool.submit(group.run, *pair)
            for pair in (("a", lambda: run("b")), ("b", lambda: run("a")))
        ]
        assert all(end.result().endswith("again") for end in ends)


async def test_tasks_whose_runs_wait_for_each_other_continue_alone(monkeypatch):
    monkeypatch.setattr("continuum_upstash.transports.singleflight.MAX_WAIT_SECONDS", 0.05)
    group, both = AsyncSingleFlightGroup(asyncio.get_running_loop()), asyncio.Barrier(2)

    async def again(name):
        return f"{name} again"

    async def run(other):
        await both.wait()
        # In its own context, as a task of a thread or of a library would be.
        return await Context().run(asyncio.create_task, group.run(other, lambda: again(other)))

    results = await asyncio.gather(
        group.run("a", lambda: run("b")), group.run("b", lambda: run("a"))
    )
    assert all(result.endswith("again") for result in results)


async def test_concurrent_tasks_share_one_run():
    group, runs = AsyncSingleFlightGroup(asyncio.get_running_loop()), []

    async def work():
        runs.append(1)
        await asyncio.sleep(0)
        return "made"

    assert await asyncio.gather(*(group.run("k", work) for _ in range(9))) == ["made"] * 9
    assert len(runs) == 1


async def test_a_cancelled_leader_leaves_the_run_to_a_follower():
    group, started = AsyncSingleFlightGroup(asyncio.get_running_loop()), asyncio.Event()

    async def never():
        started.set()
        await asyncio.Event().wait()

    async def quick():
        return "mine"

    leader = asyncio.create_task(group.run("k", never))
    await started.wait()
    follower = asyncio.create_task(group.run("k", quick))
    await asyncio.sleep(0)
    leader.cancel()
    assert await follower == "mine"
    assert leader.cancelled()
    assert not group._in_flight


async def test_a_cancelled_follower_does_not_cancel_the_leader():
    group, release = AsyncSingleFlightGroup(asyncio.get_running_loop()), asyncio.Event()

    async def work():
        await release.wait()
        return "made"

    leader = asyncio.create_task(group.run("k", work))
    await asyncio.sleep(0)
    follower = asyncio.create_task(group.run("k", work))
    await asyncio.sleep(0)
    follower.cancel()
    release.set()
    assert await leader == "made"


async def test_the_leaders_error_is_raised_only_there():
    group = AsyncSingleFlightGroup(asyncio.get_running_loop())

    async def fails():
        await asyncio.sleep(0)
        raise KeyError

    results = await asyncio.gather(
        *(group.run("k", fails) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [KeyError] * 3


async def test_when_the_leading_task_fails_the_followers_run_at_once():
    group = AsyncSingleFlightGroup(asyncio.get_running_loop())
    together, release = asyncio.Barrier(4), asyncio.Event()

    async def fails():
        await release.wait()
        raise KeyError

    leader = asyncio.create_task(group.run("k", fails))
    await asyncio.sleep(0)
    followers = [asyncio.create_task(group.run("k", together.wait)) for _ in range(4)]
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(KeyError):
        await leader
    assert set(await asyncio.wait_for(asyncio.gather(*followers), 10)) == {0, 1, 2, 3}


WRITES = [
    ("SET", "k", b"new"),
    ("UNLINK", "other", "k"),
    ("MSET", "a", b"1", "k", b"2"),
    ("INCRBY", "k", 1),
    ("EXPIRE", "k", 5),
    ("FLUSHDB",),
]
OTHERS = [("SET", "other", b"new"), ("GET", "k"), ("UNLINK", "other")]


class Remote:
    """A transport whose first read waits; what it returns was read before any write."""

    name = "upstash-rest"

    def __init__(self):
        self.entered, self.leave = threading.Event(), threading.Event()

    def send(self, batch):
        return [b"OK"] * len(batch.commands)

    async def asend(self, batch):
        return self.send(batch)


@pytest.fixture
def database():
    database = Database(Config())
    database._transport = Remote()
    return database


@pytest.mark.parametrize(
    ("command", "joins"),
    [*[(command, False) for command in WRITES], *[(command, True) for command in OTHERS]],
)
def test_a_write_of_the_key_ends_its_run(database, command, joins):
    remote = database._transport

    def read_slowly():
        remote.entered.set()
        remote.leave.wait(10)
        return "old"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(database.run_single_flight, "k", read_slowly)
        remote.entered.wait(10)
        database.send(Batch((command,)))
        second = pool.submit(database.run_single_flight, "k", lambda: "new")
        if joins:
            remote.leave.set()
        assert second.result() == ("old" if joins else "new")
        remote.leave.set()
        assert first.result() == "old"
    assert not database._runs.by_group


@pytest.mark.parametrize(
    ("command", "joins"),
    [
        (("SET", "k", b"new"), False),
        (("UNLINK", "tag"), False),  # get_or_set with tags: the value is outdated
        (("UNLINK", "other", "tag"), False),
        (("UNLINK", "other"), True),
        (("SET", "lease:k", b""), True),
    ],
)
def test_a_write_of_any_of_its_keys_ends_a_run(database, command, joins):
    def read():
        database.send(Batch((("GET", "k"),)))
        Context().run(database.send, Batch((command,)))  # as another thread would
        return bool(database._runs.by_group)

    assert database.run_single_flight(("k", "tag"), read) is joins


def test_a_run_that_stores_its_result_can_still_be_joined(database):
    def store():
        database.send(Batch((("SET", "k", b"v"),)))
        assert database._runs.by_group
        return "v"

    assert database.run_single_flight("k", store) == "v"


def test_a_write_that_fails_ends_the_run_since_it_may_have_run(database, monkeypatch):
    def fail(_batch):
        raise DeadlineExceeded("too late")

    monkeypatch.setattr(database._transport, "send", fail)
    database._runs.by_group[0, "k"] = object()
    with pytest.raises(DeadlineExceeded):
        database.send(Batch((("SET", "k", b"v"),)))
    assert not database._runs.by_group


async def test_an_async_write_of_the_key_ends_the_runs_of_all_loops_and_threads(
    database, monkeypatch
):
    state = SimpleNamespace(
        transport=database._transport,
        single_flights=AsyncSingleFlightGroup(asyncio.get_running_loop(), database._runs),
    )
    monkeypatch.setattr(database, "_get_loop_state", lambda: state)
    leave = asyncio.Event()

    async def read_slowly():
        await leave.wait()
        return "old"

    async def read():
        return "new"

    first = asyncio.create_task(database.arun_single_flight("k", read_slowly))
    await asyncio.sleep(0)
    database._runs.by_group[0, "k"] = object()  # of a thread
    await database.asend(Batch((("UNLINK", "k"),)))
    assert not database._runs.by_group
    assert await database.arun_single_flight("k", read) == "new"
    leave.set()
    assert await first == "old"
