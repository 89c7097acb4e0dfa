"""Limiters over each transport and sync and async."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.fallback import state_of
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.policy import make
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync


@pytest.fixture
def token(emulator):
    return emulator.token


@pytest.fixture
def entries(emulator, transport, token):
    location = {"rest": emulator.rest_url, "tcp": emulator.redis_url, "local": ""}[transport]
    options = {"READ_TIMEOUT": 10.0}
    if transport == "rest":
        options["TOKEN"] = token
    if transport == "local":
        options["MODE"] = "local"
    backend = "continuum_upstash.backend.CacheBackend"
    return {"default": {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}}


@pytest.fixture
def limiter(entries, api, request):
    """A limiter whose methods are called by one spelling sync and async."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    with override_settings(CACHES=entries, CONTINUUM_RATELIMIT={"DEADLINE": 10.0}):
        yield SyncOrAsync(Limiter(), runner)
    registry.reset()


def database(limiter):
    return limiter.cache._database


def end_breaks(limiter):
    """Let the next check ask, whatever went wrong before; somebody who has more time probes."""
    state_of(database(limiter)).patience._breaker.allow_probe_now()
    database(limiter).failover.breaker.allow_probe_now()
    database(limiter).send(Batch([("PING",)]))


def policy(algorithm="strict", rate="3/d", name="p", **options):
    return make(name, {"rate": rate, "algorithm": algorithm, **options})
