from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.ratelimit import site
from tests.integration.ratelimit.browser import MIDDLEWARE, TEMPLATES, Browser

# ---- a limiter over each transport, sync and async


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
    """A limiter whose methods, or their async versions, are called by the sync name."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    with override_settings(CACHES=entries, CONTINUUM_RATELIMIT={"DEADLINE": 10.0}):
        yield SyncOrAsync(Limiter(), runner)
    registry.reset()


# ---- a site with limits, and a browser


@pytest.fixture
def limited_urls():
    """The URLconf with the limits; a test module may override it."""
    return site


@pytest.fixture(params=["rest", "tcp"])
def limited_site(request, emulator, limited_urls):
    """Settings of a site whose limits are counted in the emulator; call it to change the limits."""
    rest = request.param == "rest"
    options = {"TOKEN": emulator.token} if rest else {}
    database = {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "LOCATION": emulator.rest_url if rest else emulator.redis_url,
        "OPTIONS": {**options, "READ_TIMEOUT": 10.0},
    }

    def change(**limits):
        return override_settings(
            CACHES={"default": database},
            CONTINUUM_RATELIMIT={**limited_urls.LIMITS, **limits},
            ROOT_URLCONF=limited_urls.__name__,
            MIDDLEWARE=MIDDLEWARE,
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            TEMPLATES=TEMPLATES,
        )

    with change():
        yield change
    registry.reset()


@pytest.fixture
def browser(limited_site, api):
    return Browser(api)
