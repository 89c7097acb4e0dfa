"""Limiters on each transport, and a site with limits, sync and async."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.ratelimit import policy_urls
from tests.integration.ratelimit.any_client import SyncOrAsyncClient

BACKEND = "continuum_upstash.backend.CacheBackend"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "continuum_upstash.ratelimit.middleware.RateLimitMiddleware",
]
PAGES = {
    "registration/login.html": "{{ form.errors }}",
    "429.html": "{{ title }}: {% if user.is_authenticated %}{{ user }}{% else %}guest{% endif %}",
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", PAGES)],
            "context_processors": ["django.contrib.auth.context_processors.auth"],
        },
    }
]


@pytest.fixture
def token(emulator):
    """The token that the limiter uses; a test may override it."""
    return emulator.token


@pytest.fixture
def entries(emulator, transport, token):
    """CACHES with one alias on the transport of the test."""
    location = {"rest": emulator.rest_url, "tcp": emulator.redis_url, "local": ""}[transport]
    options = {"READ_TIMEOUT": 10.0}
    if transport == "rest":
        options["TOKEN"] = token
    if transport == "local":
        options["MODE"] = "local"
    return {"default": {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}}


@pytest.fixture
def limiter(entries, api, request):
    """A limiter, sync or async."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    with override_settings(CACHES=entries, CONTINUUM_RATELIMIT={"DEADLINE": 10.0}):
        yield SyncOrAsync(Limiter(), runner)
    registry.reset()


@pytest.fixture
def limited_urls():
    """The URLconf with its limits; a test module may override it."""
    return policy_urls


@pytest.fixture(params=["rest", "tcp"])
def limited_site(request, emulator, limited_urls):
    """A site with limits on each transport; call it to override entries of the setting."""
    is_rest = request.param == "rest"
    options = {"TOKEN": emulator.token} if is_rest else {}
    database = {
        "BACKEND": BACKEND,
        "LOCATION": emulator.rest_url if is_rest else emulator.redis_url,
        "OPTIONS": {**options, "READ_TIMEOUT": 10.0},
    }

    def override(**limits):
        return override_settings(
            CACHES={"default": database},
            CONTINUUM_RATELIMIT={**limited_urls.LIMITS, **limits},
            ROOT_URLCONF=limited_urls.__name__,
            MIDDLEWARE=MIDDLEWARE,
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            TEMPLATES=TEMPLATES,
        )

    with override():
        yield override
    registry.reset()


@pytest.fixture
def any_client(limited_site, api):
    """A client of the site, sync and async."""
    return SyncOrAsyncClient(api)
