"""A browser in both colours."""

from __future__ import annotations

import asyncio

from django.test import AsyncClient, Client

from continuum_upstash.transports import registry


class Browser:
    """Asks a sync or an async handler by one spelling."""

    def __init__(self, colour):
        self._colour = colour
        self._client = Client() if colour == "sync" else AsyncClient()

    def get(self, path, **extra):
        return self._ask("get", path, **extra)

    def post(self, path, data=None, **extra):
        return self._ask("post", path, data, **extra)

    def head(self, path, **extra):
        return self._ask("head", path, **extra)

    def login(self, user):
        if self._colour == "sync":
            self._client.force_login(user)
        else:
            asyncio.run(self._client.aforce_login(user))

    def _ask(self, method, path, *args, **extra):
        if self._colour == "sync":
            return getattr(self._client, method)(path, *args, **extra)
        return asyncio.run(self._asked(method, path, *args, **extra))

    async def _asked(self, method, path, *args, **extra):
        response = await getattr(self._client, method)(path, *args, **extra)
        for database in registry.databases():
            await database.aclose()
        return response
