"""get_or_set with early, grace and wait: over each transport, and in several processes at once."""

from __future__ import annotations

import asyncio
import json
import os
import select
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from tests.conftest import SyncOrAsync

PROCESSES, THREADS = 3, 4


def store_old_value(cache, value="old", **options):
    """Store a value that is past its time and in its grace."""
    cache.get_or_set("k", value, 0.001, grace=60, **options)
    while cache.get("k") is not None:
        pass


def fail():
    raise OSError("x")


def test_a_value_is_computed_once_and_read_back(any_cache):
    calls = []

    def compute():
        calls.append(1)
        return {"a": (1, b"2")}

    for _ in range(3):
        found = any_cache.get_or_set("k", compute, 60, early=True, grace=60, wait=1)
        assert found == {"a": (1, b"2")}
    assert len(calls) == 1
    assert any_cache.get("k") == {"a": (1, b"2")}
    assert 100 < any_cache.ttl("k") <= 120


def test_an_old_value_serves_when_the_function_fails(any_cache, protected_results):
    store_old_value(any_cache)
    assert any_cache.get_or_set("k", fail, 60, grace=60) == "old"
    assert any_cache.get_or_set("k", lambda: "too soon", 60, grace=60) == "old"
    assert protected_results == ["stale", "stale"]
    assert any_cache.get("k") is None
    assert any_cache.get_or_set("k", "without grace", 60) == "without grace"
    assert any_cache.get("k") == "without grace"


def test_without_an_old_value_the_error_is_raised_each_time(any_cache):
    for _ in range(2):
        with pytest.raises(OSError, match="x"):
            any_cache.get_or_set("k", fail, 60, grace=60, wait=5)


def test_an_old_value_is_refreshed(any_cache):
    store_old_value(any_cache)
    assert any_cache.get_or_set("k", "new", 60, grace=60) == "new"
    assert any_cache.get("k") == "new"


def test_a_value_is_refreshed_before_its_time(any_cache, protected_results):
    any_cache.get_or_set("k", lambda: time.sleep(0.01) or "old", 60, early=True)
    assert any_cache.get_or_set("k", "new", 60, early=1e9) == "new"
    assert any_cache.get("k") == "new"
    assert protected_results == ["early"]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("fallback", [True, False])
def test_an_old_value_serves_when_the_database_refuses_all_commands_meanwhile(
    transport, fallback, api, make_cache, emulator, request
):
    cache = make_cache(transport, OPTIONS={"FALLBACK": fallback})
    called = SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)
    store_old_value(called)
    with ExitStack() as faults:

        def compute():
            faults.enter_context(emulator.fault("quota", side=transport))
            return "new"

        found = called.get_or_set("k", compute, 60, grace=60)
    assert found == ("new" if fallback else "old")


def test_a_key_that_was_deleted_during_its_refresh_stays_deleted(any_cache):
    store_old_value(any_cache)
    any_cache.get_or_set("k", lambda: any_cache.cache.delete("k"), 60, grace=60)
    assert any_cache.get("k", "missing") == "missing"


def test_a_timeout_of_0_stores_nothing(any_cache):
    assert any_cache.get_or_set("k", 1, 0, early=True, grace=60, tags=["a"]) == 1
    assert any_cache.get("k") is None


def test_force_with_a_timeout_of_0_computes_the_value_and_deletes_the_old_one(any_cache):
    any_cache.set("k", "old")
    assert any_cache.get_or_set("k", "new", 0, grace=60, force=True) == "new"
    assert any_cache.get("k") is None


def test_a_lease_that_a_process_left_behind_delays_a_caller_by_wait_only(any_cache):
    any_cache.cache.client.set(f"continuum:lease:{any_cache.cache.make_key('k')}", "x", ttl=30)
    assert any_cache.get_or_set("k", "new", 60, wait=0.01) == "new"


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_the_function_of_an_async_call_may_be_a_coroutine_function(transport, make_cache, runner):
    cache, calls = make_cache(transport), []

    async def compute():
        calls.append(1)
        await asyncio.sleep(0.01)
        return "new"

    async def call_all():
        calls = [cache.aget_or_set("k", compute, 60, grace=60, tags=["a"]) for _ in range(20)]
        return await asyncio.gather(*calls)

    assert runner.run(call_all()) == ["new"] * 20
    assert len(calls) == 1


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
@pytest.mark.parametrize("is_old", [False, True], ids=["missing", "old"])
def test_a_call_that_was_cancelled_while_it_computed_delays_no_other(
    transport, is_old, make_cache, runner
):
    cache = make_cache(transport)
    if is_old:
        store_old_value(cache)

    async def cancel_and_call():
        computing = asyncio.Event()

        async def compute():
            computing.set()
            await asyncio.Event().wait()

        first = asyncio.create_task(cache.aget_or_set("k", compute, 60, grace=60, wait=30))
        await computing.wait()
        others = [
            asyncio.create_task(cache.aget_or_set("k", "new", 60, grace=60, wait=30))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        first.cancel()
        results = await asyncio.gather(*others)
        await asyncio.wait([first])
        return {*results, await cache.aget_or_set("k", "new", 60, grace=60)}

    assert "new" in runner.run(asyncio.wait_for(cancel_and_call(), 10))


class Stampede:
    """Calls get_or_set in all threads of all processes at once.

    Attributes:
        results: what each call returned, and whether it computed it.
    """

    def __init__(self, cache, **options):
        self.cache, self.options = cache, options
        self.start, self.finish, self.output = os.pipe(), os.pipe(), os.pipe()
        self.results = []

    def run(self):
        """The function that computes ends when all other calls have returned or after 0.1 s."""
        children = []
        for _ in range(PROCESSES):
            child = os.fork()
            if child == 0:
                with suppress(BaseException):
                    self._run_in_threads()
                os._exit(0)
            children.append(child)
        os.close(self.output[1])
        os.close(self.start[1])  # ends the reads of the threads
        with os.fdopen(self.output[0]) as lines:
            for line in lines:
                self.results.append(json.loads(line))
                if len(self.results) == PROCESSES * THREADS - 1:
                    os.close(self.finish[1])
        for child in children:
            os.waitpid(child, 0)
        os.close(self.start[0])
        os.close(self.finish[0])

    def _run_in_threads(self):
        os.close(self.start[1])
        os.close(self.finish[1])
        threads = [threading.Thread(target=self._call) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self):
        is_computed = []

        def compute():
            is_computed.append(1)
            select.select([self.finish[0]], [], [], 10 if "grace" in self.options else 0.1)
            return "new"

        os.read(self.start[0], 1)
        found = self.cache.get_or_set("k", compute, 60, **self.options)
        os.write(self.output[1], f"{json.dumps([found, len(is_computed)])}\n".encode())


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_one_of_all_processes_computes_a_missing_value(transport, make_cache):
    stampede = Stampede(make_cache(transport), wait=20, tags=["a"])
    stampede.run()
    assert sorted(stampede.results) == [["new", 0]] * (PROCESSES * THREADS - 1) + [["new", 1]]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_one_of_all_processes_refreshes_an_old_value_and_no_other_waits(transport, make_cache):
    cache = make_cache(transport)
    store_old_value(cache)
    stampede = Stampede(cache, grace=60)
    stampede.run()
    assert stampede.results == [["old", 0]] * (PROCESSES * THREADS - 1) + [["new", 1]]
