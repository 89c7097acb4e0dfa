"""Copied to tests/cache of Django: its cache tests against the configured backend.

Modes: sync = the tests as they are. async = the same, with every cache method routed through its
a*() twin by async_to_sync: a new event loop for each call, the hard case for connections.
async-shared = the same on one event loop for the whole run.
"""

from __future__ import annotations

import asyncio
from unittest import mock

from asgiref.sync import async_to_sync, iscoroutinefunction
from cache import tests
from django.conf import settings
from django.core.cache import caches as real_caches
from django.test import TestCase, override_settings
from recording import CONFIG, Recorded

MODE = CONFIG["mode"]
SETTINGS = tests.caches_setting_for_tests(
    base=settings.CACHES["default"], exclude=set(CONFIG["exclude_aliases"])
)
# Names that Django documents as public API and that have an a* twin.
TWINS = {
    *("add", "get", "set", "touch", "delete", "get_many", "get_or_set", "has_key", "incr", "decr"),
    *("set_many", "delete_many", "clear", "incr_version", "decr_version", "close"),
}
_runner = None


def _run(method, *args, **kwargs):
    global _runner
    if MODE == "async":
        return async_to_sync(method)(*args, **kwargs)
    if _runner is None:
        _runner = asyncio.Runner()
    return _runner.run(method(*args, **kwargs))


class AsyncTwin:
    """Looks like a cache; every public method runs its a*() twin."""

    def __init__(self, get):
        self.__dict__["_get"] = get

    def __getattr__(self, name):
        target = self._get()
        if name in TWINS:
            twin = getattr(target, "a" + name)
            return lambda *args, **kwargs: _run(twin, *args, **kwargs)
        return getattr(target, name)

    def __setattr__(self, name, value):
        setattr(self._get(), name, value)

    def __contains__(self, key):
        return _run(self._get().ahas_key, key)


class AsyncCaches:
    def __getitem__(self, alias):
        real_caches[alias]  # raises for an unknown alias, as the real one
        return AsyncTwin(lambda: real_caches[alias])

    def __getattr__(self, name):
        return getattr(real_caches, name)


BASE = getattr(tests, CONFIG["base_class"])


@override_settings(CACHES=SETTINGS)
class ThirdPartyCacheTests(Recorded, BASE, *([] if issubclass(BASE, TestCase) else [TestCase])):
    __unittest_skip__ = False  # RedisCacheTests is skipped unless Django's own backend is used
    incr_decr_type_error = TypeError

    def setUp(self):
        # A test that is a coroutine awaits the a*() methods itself.
        test = getattr(type(self), self._testMethodName)
        if MODE != "sync" and not iscoroutinefunction(test):
            if MODE == "async-shared" and self._testMethodName.endswith("_with_deferred"):
                # They pickle a lazy queryset, which a worker thread must evaluate; it then meets
                # a second connection to the in-memory database, which is locked.
                self.skipTest("needs the test's own thread: runs in mode async")
            twins = (
                ("cache", AsyncTwin(lambda: real_caches["default"])),
                ("caches", AsyncCaches()),
            )
            for name, new in twins:
                patch = mock.patch.object(tests, name, new)
                patch.start()
                self.addCleanup(patch.stop)
        super().setUp()

    def _perform_cull_test(self, cull_cache_name, *args):
        # They need the aliases cull and zero_cull: caches without MAX_ENTRIES leave them out.
        if cull_cache_name in CONFIG["exclude_aliases"]:
            self.skipTest("Culling isn't implemented.")
        return super()._perform_cull_test(cull_cache_name, *args)


del BASE
