"""A test client with one spelling for sync and async handlers."""

from __future__ import annotations

import asyncio

from django.test import AsyncClient, Client

from continuum_upstash.transports import registry


class SyncOrAsyncClient:
    """Django's test client for the sync or the async handler.

    Args:
        api: ``sync`` or ``async``.
    """

    def __init__(self, api):
        self._api = api
        self._client = Client() if api == "sync" else AsyncClient()

    def get(self, path, **extra):
        return self._request("get", path, **extra)

    def post(self, path, data=None, **extra):
        return self._request("post", path, data, **extra)

    def head(self, path, **extra):
        return self._request("head", path, **extra)

    def login(self, user):
        if self._api == "sync":
            self._client.force_login(user)
        else:
            asyncio.run(self._client.aforce_login(user))

    def _request(self, method, path, *args, **extra):
        if self._api == "sync":
            return getattr(self._client, method)(path, *args, **extra)
        return asyncio.run(self._arequest(method, path, *args, **extra))

    async def _arequest(self, method, path, *args, **extra):
        response = await getattr(self._client, method)(path, *args, **extra)
        for database in registry.list_databases():
            await database.aclose()
        return response


def get_statuses(client, *paths):
    return [client.get(path).status_code for path in paths]
