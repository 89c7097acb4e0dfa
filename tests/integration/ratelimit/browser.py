"""A site with limits over each transport, and a browser sync and async."""

from __future__ import annotations

import asyncio

import pytest
from django.test import AsyncClient, Client, override_settings

from continuum_upstash.transports import registry
from tests.integration.ratelimit import site

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "continuum_upstash.ratelimit.middleware.RateLimitMiddleware",
]

PAGES = {
    "registration/login.html": "{{ form.errors }}",
    "429.html": "{{ title }}: {% if user.is_authenticated %}{{ user }}{% else %}nobody{% endif %}",
}
LOADERS = [("django.template.loaders.locmem.Loader", PAGES)]
USER = "django.contrib.auth.context_processors.auth"
ENGINE = "django.template.backends.django.DjangoTemplates"
TEMPLATES = [{"BACKEND": ENGINE, "OPTIONS": {"loaders": LOADERS, "context_processors": [USER]}}]


class Browser:
    """Asks a sync or an async handler by one spelling."""

    def __init__(self, api):
        self._api = api
        self._client = Client() if api == "sync" else AsyncClient()

    def get(self, path, **extra):
        return self._ask("get", path, **extra)

    def post(self, path, data=None, **extra):
        return self._ask("post", path, data, **extra)

    def head(self, path, **extra):
        return self._ask("head", path, **extra)

    def login(self, user):
        if self._api == "sync":
            self._client.force_login(user)
        else:
            asyncio.run(self._client.aforce_login(user))

    def _ask(self, method, path, *args, **extra):
        if self._api == "sync":
            return getattr(self._client, method)(path, *args, **extra)
        return asyncio.run(self._asked(method, path, *args, **extra))

    async def _asked(self, method, path, *args, **extra):
        response = await getattr(self._client, method)(path, *args, **extra)
        for database in registry.list_databases():
            await database.aclose()
        return response


@pytest.fixture
def limited_urls():
    """The urlconf, with the limits; a test module may have one of its own."""
    return site


@pytest.fixture(params=["rest", "tcp"])
def limited_site(request, emulator, limited_urls):
    """Settings of a site whose limits are counted in the emulator; change them by calling it."""
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
