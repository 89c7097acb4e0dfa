"""Two caches in memory, and a MigratingCache from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from django.core.cache import BaseCache, caches

from continuum_upstash.migration.conf import BACKEND
from continuum_upstash.migration.rollout import override_rollout
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync

LOCAL = {"BACKEND": "continuum_upstash.backend.CacheBackend", "OPTIONS": {"MODE": "local"}}


class Migration(NamedTuple):
    """A migration in one phase.

    Attributes:
        cache: the MigratingCache, with the methods of one API.
        old: the old cache, with sync methods.
        new: the new cache, with sync methods.
    """

    cache: Any
    old: BaseCache
    new: BaseCache


@pytest.fixture
def migrate(settings: Any, api: str, request: Any) -> Iterator[Callable[..., Migration]]:
    """Return a function that starts a migration in a phase."""
    settings.CACHES = {
        "default": {"BACKEND": BACKEND, "OPTIONS": {"OLD": "old", "NEW": "new"}},
        "old": {**LOCAL, "KEY_PREFIX": "old"},
        "new": {**LOCAL, "KEY_PREFIX": "new"},
    }
    registry.reset()
    runner = request.getfixturevalue("runner") if api == "async" else None
    with ExitStack() as stack:

        def start(phase: str, percent: float = 0.0) -> Migration:
            stack.enter_context(override_rollout("default", phase, percent))
            return Migration(SyncOrAsync(caches["default"], runner), caches["old"], caches["new"])

        yield start
    registry.reset()
