from __future__ import annotations

import pytest
from django.core.cache import caches

from continuum_upstash.federation import Channel
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.plans.effects import call


@pytest.fixture(params=["rest", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def federation(emulator, transport, settings, new_process_state):
    """The alias "federation" over each transport; its database."""
    location = emulator.rest_url if transport == "rest" else emulator.redis_url
    options = {"TOKEN": emulator.token} if transport == "rest" else {}
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "federation": {
            "BACKEND": "continuum_upstash.backend.CacheBackend",
            "LOCATION": location,
            "OPTIONS": options,
        },
    }
    database = caches["federation"].database
    yield database
    database.extras.get(Hub, lambda: Hub(database)).close()
    database.close()


@pytest.fixture
def room(federation):
    return Channel("room", using="federation")


@pytest.fixture
def raw(federation):
    """Sends one command."""
    cache = caches["federation"]
    return lambda *command: cache.run(call(*command))
