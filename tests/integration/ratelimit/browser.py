"""A browser for WSGI and ASGI sites, and the settings of a site with limits."""

from __future__ import annotations

import asyncio

from django.test import AsyncClient, Client

from continuum_upstash.transports import registry

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
    """Django's test client for WSGI or ASGI, with the same methods for both."""

    def __init__(self, api):
        self._api = api
        self._client = Client() if api == "sync" else AsyncClient()

    def get(self, path, **extra):
        return self._send("get", path, **extra)

    def post(self, path, data=None, **extra):
        return self._send("post", path, data, **extra)

    def head(self, path, **extra):
        return self._send("head", path, **extra)

    def login(self, user):
        if self._api == "sync":
            self._client.force_login(user)
        else:
            asyncio.run(self._client.aforce_login(user))

    def _send(self, method, path, *args, **extra):
        if self._api == "sync":
            return getattr(self._client, method)(path, *args, **extra)
        return asyncio.run(self._send_async(method, path, *args, **extra))

    async def _send_async(self, method, path, *args, **extra):
        response = await getattr(self._client, method)(path, *args, **extra)
        for database in registry.list_databases():
            await database.aclose()
        return response
