"""`cached` over each transport, sync and async, with the billed commands of each operation."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.core.cache import caches
from django.test import override_settings

from continuum_upstash.decorators import cached
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry


class Loader:
    """Functions, sync or async, that count their calls; the API is that of a sync function."""

    def __init__(self, api, runner):
        self._api, self._runner = api, runner
        self.calls = 0
        self.error = None

    def _load(self, number):
        self.calls += 1
        if self.error:
            raise self.error
        return None if number is None else [number, self.calls]

    async def _aload(self, number):
        return self._load(number)

    def decorate(self, **options):
        function = self._load if self._api == "sync" else self._aload
        self.cached = cached(key="load:{number}", **options)(function)
        return self

    def _run(self, result):
        return result if self._api == "sync" else self._runner.run(result)

    def load(self, number):
        return self._run(self.cached(number))

    def refresh(self, number):
        return self._run(self.cached.refresh(number))

    def invalidate(self, number):
        if self._api == "sync":
            return self.cached.invalidate(number)
        return self._runner.run(self.cached.ainvalidate(number))


@pytest.fixture
def configure(settings, emulator):
    def configure(transport, **params):
        settings.CACHES = {"default": make_entry(emulator, transport, KEY_PREFIX="f", **params)}
        caches["default"].has_key("warm-up")

    yield configure
    registry.reset()


@pytest.fixture
def loader(api, request):
    return Loader(api, request.getfixturevalue("runner") if api == "async" else None)


def run(loader, operation):
    """Run the operations of a text such as "load refresh"; return the last result."""
    result = None
    for name in operation.split():
        result = getattr(loader, name)(7)
    return result


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize(
    ("options", "before", "operation", "billed", "calls"),
    [
        ({}, "", "load", 2, 1),
        ({}, "load", "load", 1, 1),
        ({}, "load", "refresh", 1, 2),
        ({}, "load", "invalidate", 1, 1),
        ({}, "load invalidate", "load", 2, 2),
        ({"tags": ["n:{number}", "all"]}, "", "load", 4, 1),
        ({"tags": ["n:{number}", "all"]}, "load", "load", 1, 1),
        ({"tags": ["n:{number}", "all"]}, "load", "refresh", 2, 2),
        ({"tags": ["n:{number}", "all"]}, "load invalidate", "load", 2, 2),
        ({"grace": 60, "tags": ["n:{number}"]}, "load", "load", 1, 1),
        ({"early": True}, "load", "load", 1, 1),
        ({"grace": 60}, "load", "refresh", 1, 2),
        ({"cache_none": False}, "", "load", 2, 1),
        ({"cache_none": False}, "load", "load", 1, 1),
    ],
)
def test_the_billed_commands(
    options, before, operation, billed, calls, transport, loader, configure, emulator
):
    configure(transport)
    loader.decorate(timeout=300, **options)
    run(loader, before)
    with emulator.count() as spent:
        run(loader, operation)
    assert (spent.billed, loader.calls) == (billed, calls)


@pytest.mark.parametrize(("transport", "billed"), [("rest", 4), ("tcp", 6)])
def test_a_lease_is_released_by_a_script_over_tcp(transport, billed, loader, configure, emulator):
    configure(transport)
    loader.decorate(timeout=300, grace=60)
    with emulator.count() as spent:
        loader.load(7)
    assert spent.billed == billed


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
class TestAnyTransport:
    def test_results_keep_their_types_and_belong_to_the_caller(self, transport, loader, configure):
        configure(transport)
        loader.decorate(timeout=60)
        loader.load(7).append("changed by a caller")
        assert loader.load(7) == [7, 1]

    def test_a_refresh_replaces_the_result_and_an_invalidation_removes_it(
        self, transport, loader, configure
    ):
        configure(transport)
        loader.decorate(timeout=60, grace=60, tags=["n:{number}"])
        assert [loader.load(7), loader.load(8), loader.load(7)] == [[7, 1], [8, 2], [7, 1]]
        assert loader.refresh(7) == loader.load(7) == [7, 3]
        assert loader.invalidate(7) is True
        assert loader.invalidate(7) is False
        assert loader.load(7) == [7, 4]

    def test_a_deleted_tag_invalidates_the_results_that_have_it(self, transport, loader, configure):
        configure(transport)
        loader.decorate(timeout=60, tags=["n:{number}", "all"])
        assert [loader.load(7), loader.load(8)] == [[7, 1], [8, 2]]
        caches["default"].delete_tags("n:7")
        assert [loader.load(7), loader.load(8)] == [[7, 3], [8, 2]]
        loader.refresh(7)
        caches["default"].delete_tags("all")
        assert [loader.load(7), loader.load(8)] == [[7, 5], [8, 6]]

    @pytest.mark.parametrize("options", [{}, {"grace": 60}, {"tags": ["a"]}])
    def test_none_is_stored_by_choice(self, options, transport, loader, configure):
        configure(transport)
        loader.decorate(timeout=60, cache_none=False, **options)
        assert [loader.load(None), loader.load(None)] == [None, None]
        assert loader.calls == 2
        loader.decorate(timeout=60, **options)
        assert [loader.load(None), loader.load(None)] == [None, None]
        assert loader.calls == 3

    def test_a_refresh_to_none_removes_the_result(self, transport, loader, configure):
        configure(transport)
        loader.decorate(timeout=60, cache_none=False)
        key = loader.cached.cache_key(None)
        caches["default"].set(key, "old")
        assert loader.refresh(None) is None
        assert key not in caches["default"]

    def test_an_error_of_the_function_is_raised_and_nothing_is_stored(
        self, transport, loader, configure
    ):
        configure(transport)
        loader.decorate(timeout=60, wait=1)
        loader.error = LookupError("no row")
        for operation in (loader.load, loader.refresh):
            with pytest.raises(LookupError, match="no row"):
                operation(7)
        loader.error = None
        assert loader.load(7) == [7, 3]


def test_a_stale_result_serves_while_the_function_fails(loader, configure, emulator):
    configure("rest")
    loader.decorate(timeout=0.05, grace=60)
    assert loader.load(7) == [7, 1]
    loader.error = LookupError("no row")
    with suppress(LookupError):
        loader.refresh(7)
    threading.Event().wait(0.06)
    assert loader.load(7) == [7, 1]
    assert loader.calls == 3


def test_the_cache_is_the_one_of_the_settings_at_the_call(loader, configure, emulator):
    configure("rest")
    loader.decorate(timeout=60)
    assert loader.load(7) == [7, 1]
    with override_settings(CACHES={"default": make_entry(emulator, "local", KEY_PREFIX="f")}):
        assert loader.load(7) == [7, 2]
        assert loader.load(7) == [7, 2]
    assert loader.load(7) == [7, 1]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("options", [{}, {"grace": 60, "tags": ["n:{number}"]}])
def test_concurrent_threads_share_one_call(options, transport, configure, emulator):
    configure(transport)
    threads, barrier = 8, threading.Barrier(8)
    loader = Loader("sync", None).decorate(timeout=60, **options)

    def load(_):
        barrier.wait()
        return loader.load(7)

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(load, range(threads))) == [[7, 1]] * threads
    assert loader.calls == 1


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("options", [{}, {"grace": 60, "tags": ["n:{number}"]}])
def test_concurrent_tasks_share_one_call(options, transport, configure, runner):
    configure(transport)
    loader = Loader("async", runner).decorate(timeout=60, **options)

    async def load_all():
        return await asyncio.gather(*(loader.cached(7) for _ in range(20)))

    assert runner.run(load_all()) == [[7, 1]] * 20
    assert loader.calls == 1
