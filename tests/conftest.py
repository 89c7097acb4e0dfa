from __future__ import annotations

import asyncio
import gc
from itertools import count

import pytest
from hypothesis import settings

from continuum_upstash.observe import ProtectedRead, subscribe, unsubscribe
from continuum_upstash.transports import registry
from continuum_upstash.transports.database_state import Extras

settings.register_profile("tests", deadline=None)  # other processes may take the CPU
settings.load_profile("tests")

_numbers = count()


def pytest_collection_finish():
    """Exempt imported modules and collected tests from garbage collection, which is faster so."""
    gc.collect()
    gc.freeze()


class SyncOrAsync:
    """Calls the methods of a cache, or their async twins, by the sync name."""

    def __init__(self, cache, runner=None):
        self.cache = cache
        self._runner = runner

    def __getattr__(self, name):
        if self._runner is None:
            return getattr(self.cache, name)
        method = getattr(self.cache, f"a{name}")
        return lambda *args, **kwargs: self._runner.run(_await(method, args, kwargs))


async def _await(method, args, kwargs):
    return await method(*args, **kwargs)


@pytest.fixture
def emulator(upstash_emulator):
    """The emulator, empty and without faults."""
    upstash_emulator.reset()
    return upstash_emulator


@pytest.fixture
def new_process_state(monkeypatch):
    """Give the test an empty per-process state, and restore the old one after it."""
    monkeypatch.setattr(registry._process, "extras", Extras())


@pytest.fixture
def request_signals():
    """Django's request signals, without the receivers that close database connections."""
    from django.core import signals  # noqa: PLC0415 tests below floor 4 run without Django
    from django.db import close_old_connections  # noqa: PLC0415 as above

    signals.request_started.disconnect(close_old_connections)
    signals.request_finished.disconnect(close_old_connections)
    yield signals
    signals.request_started.connect(close_old_connections)
    signals.request_finished.connect(close_old_connections)


@pytest.fixture
def make_cache(request):
    """Return a function that makes a cache backend over a transport: rest, tcp or local."""
    from continuum_upstash.backend import CacheBackend  # noqa: PLC0415 as above

    def make(transport, /, **params):
        options = params.pop("OPTIONS", {})
        location = ""
        if transport == "local":
            options = {"MODE": "local", **options}
        else:
            emulator = request.getfixturevalue("emulator")
            location = emulator.rest_url if transport == "rest" else emulator.redis_url
            if transport == "rest":
                options = {"TOKEN": emulator.token, **options}
        params.setdefault("KEY_PREFIX", f"test{next(_numbers)}")
        return CacheBackend(location, {**params, "OPTIONS": options})

    yield make
    registry.reset()


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner
        for database in registry.list_databases():
            runner.run(database.aclose())


@pytest.fixture(params=["sync", "async"])
def api(request):
    return request.param


@pytest.fixture(params=["rest", "tcp", "local"])
def transport(request):
    return request.param


@pytest.fixture
def any_cache(transport, api, make_cache, request):
    """A cache over each transport, sync and async."""
    cache = make_cache(transport)
    return SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)


@pytest.fixture
def protected_results():
    """The results of the calls of get_or_set with stampede protection."""
    found = []

    def observer(record):
        if isinstance(record, ProtectedRead):
            found.append(record.result)

    subscribe(observer)
    yield found
    unsubscribe(observer)
