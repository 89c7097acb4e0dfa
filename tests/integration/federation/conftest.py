"""Queues on each transport, sync and async."""

from __future__ import annotations

from itertools import count

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from continuum_upstash.federation import Queue
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.cache_entries import make_entry
from tests.integration.federation.wsgi_server import serve

_numbers = count()


@pytest.fixture(params=["rest", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def federation(emulator, transport):
    """Settings with the emulator as the cache "federation"."""
    with override_settings(CACHES={"federation": make_entry(emulator, transport)}):
        yield
    registry.reset()


@pytest.fixture
def make_queue(federation, api, request):
    """Return a function that makes a queue, sync or async, with a new name."""
    runner = request.getfixturevalue("runner") if api == "async" else None

    def make(name="", **options):
        return AnyQueue(Queue(name or f"queue{next(_numbers)}", **options), runner)

    return make


@pytest.fixture
def queue(make_queue):
    return make_queue()


class AnyQueue:
    """Calls the methods of a queue and of its jobs, sync or async, by the sync name."""

    def __init__(self, queue, runner):
        self.queue, self._runner = queue, runner
        self.name = queue.name
        self._any = SyncOrAsync(queue, runner)

    def __getattr__(self, name):
        return getattr(self._any, name)

    def reserve(self, *args, **kwargs):
        jobs = self._any.reserve(*args, **kwargs)
        jobs[:] = [AnyJob(job, self._runner) for job in jobs]
        return jobs


class AnyJob:
    def __init__(self, job, runner):
        self._job = job
        self._any = SyncOrAsync(job, runner)

    def __getattr__(self, name):
        is_method = name in {"ack", "retry", "fail", "release", "extend"}
        return getattr(self._any if is_method else self._job, name)


@pytest.fixture
def site(emulator, request_signals):
    """A site that QStash can reach; its public URL is that of its server."""
    entries = {name: make_entry(emulator) for name in ("default", "federation")}
    with (
        override_settings(
            ROOT_URLCONF="tests.integration.federation.site_urls",
            ALLOWED_HOSTS=["*"],
            CACHES=entries,
            MIDDLEWARE=[],
        ),
        serve(WSGIHandler()) as url,
    ):
        yield f"{url}/federation/tasks/run/"
    registry.reset()
