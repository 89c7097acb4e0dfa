"""Two services on a global database whose replica lags: a header carries the sync tokens."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from django.core import signing
from django.core.cache import cache
from django.http import JsonResponse
from django.test import AsyncRequestFactory, RequestFactory

from continuum_upstash.federation import sync_header
from continuum_upstash.federation.sync_header import (
    HEADER,
    SyncTokenMiddleware,
    apply_sync_headers,
    make_sync_headers,
)
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry

LAG = 30  # seconds: longer than any test takes


@pytest.fixture
def lagging(emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, "rest")}
    with emulator.fault("lag", seconds=LAG):
        yield
    registry.reset()


class Service:
    """Another service, which increments a counter and reads a key: sync or async."""

    def __init__(self, api):
        self._api = api

    def get(self, headers):
        """Return its response to a request with these headers."""
        return Context().run(self._respond, headers)

    def _respond(self, headers):
        if self._api == "sync":
            return SyncTokenMiddleware(_read)(RequestFactory().get("/", headers=headers))
        return asyncio.run(self._arespond(headers))

    async def _arespond(self, headers):
        request = AsyncRequestFactory().get("/", headers=headers)
        response = await SyncTokenMiddleware(_aread)(request)
        await cache.database.aclose()
        return response


def _read(request):
    value = cache.get("order")
    cache.set("seen", value)
    return JsonResponse({"order": value})


async def _aread(request):
    value = await cache.aget("order")
    await cache.aset("seen", value)
    return JsonResponse({"order": value})


@pytest.fixture
def service(api):
    return Service(api)


def write_order():
    """Write on one service; return the header for a request to another."""
    cache.set("order", "paid")
    return make_sync_headers()


@pytest.mark.usefixtures("lagging")
def test_without_the_header_another_service_reads_an_old_value(service):
    Context().run(write_order)
    assert service.get({}).content == b'{"order": null}'


@pytest.mark.usefixtures("lagging")
def test_with_the_header_it_reads_the_write_and_its_own_writes_are_read_here(service):
    headers = Context().run(write_order)
    response = service.get(headers)
    assert response.content == b'{"order": "paid"}'

    def read_seen(headers):
        apply_sync_headers(headers)
        return cache.get("seen")

    assert Context().run(read_seen, {}) is None
    assert Context().run(read_seen, response.headers) == "paid"


@pytest.fixture
def site(emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, "rest")}
    yield settings
    registry.reset()


def is_applied(value):
    return Context().run(apply_sync_headers, {HEADER: value})


def test_a_forged_or_old_header_is_not_applied(site, monkeypatch):
    [value] = Context().run(write_order).values()
    assert is_applied(value)
    forged = signing.TimestampSigner(key="another").sign("default=zzzz")
    for wrong in ("", "default=zzzz", forged, value + "x", value + " " * 2000, f"{value}\r\nX: 1"):
        assert not is_applied(wrong)
    monkeypatch.setattr(sync_header, "MAX_AGE", -1)
    assert not is_applied(value)


def test_services_with_different_secret_keys_share_a_key(site):
    site.CONTINUUM_SYNC_KEY = "shared"
    [value] = Context().run(write_order).values()
    site.SECRET_KEY = "of another service"
    assert is_applied(value)
    site.CONTINUUM_SYNC_KEY = None
    assert not is_applied(value)


def test_a_response_to_a_request_without_the_header_has_none(site, service):
    response = service.get({})
    assert response.status_code == 200
    assert HEADER not in response.headers


def test_without_a_write_there_is_no_header(site):
    assert Context().run(make_sync_headers) == {}
