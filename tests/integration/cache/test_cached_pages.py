"""Pages that Django caches, while the database refuses commands: each is rendered, none fails.

The middleware, `cache_page`, template fragments and `get_or_set` are code of Django or of the site:
they do not expect that filling a cache raises.
"""

from __future__ import annotations

import asyncio

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.template import Context, Template
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.cache import cache_page

from continuum_upstash import observe
from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import ValueDiscarded, subscribe, unsubscribe
from continuum_upstash.plans.command_table import COMMANDS
from continuum_upstash.transports import registry
from continuum_upstash.transports.service_errors import MEANINGS, SERVICE_TEXTS, Meaning
from tests.integration.cache_entries import BACKEND, make_entry
from tests.integration.fake_database import PASS, SECRET

FRAGMENT = "{% load cache %}{% cache 60 sidebar %}fragment {{ number }}{% endcache %}"
numbers = iter(range(10**6))


def fill(request):
    number = next(numbers)
    text = cache.get_or_set("computed", lambda: "x" * int(request.GET.get("size", 1)), 60)
    cache.set_many({"a": number, "b": number}, 60)
    cache.add("added", number)
    cache.touch("a", 120)
    body = Template(FRAGMENT).render(Context({"number": number}))
    return HttpResponse(f"{body} {number} {text}")


async def afill(request):
    number = next(numbers)
    text = await cache.aget_or_set("computed", lambda: "x" * int(request.GET.get("size", 1)), 60)
    await cache.aset_many({"a": number, "b": number}, 60)
    await cache.aadd("added", number)
    await cache.atouch("a", 120)
    return HttpResponse(f"{number} {text}")


urlpatterns = [
    path("page", fill),
    path("apage", afill),
    path("cached", cache_page(60)(fill)),
]


@pytest.fixture
def site(settings):
    settings.ROOT_URLCONF = __name__
    settings.CACHE_MIDDLEWARE_SECONDS = 60
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    yield settings
    registry.reset()


@pytest.fixture
def use_fake_database(site, fake_database):
    """Return a function that makes the fake database the default cache over a transport."""

    def use(transport, **options):
        if transport == "rest":
            options["TOKEN"] = SECRET
        location = fake_database.url(transport)
        site.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}}

    return use


def get(api, url):
    """Request a page over WSGI's or ASGI's handler, which turn exceptions into a status of 500."""
    if api == "sync":
        return Client(raise_request_exception=False).get(f"/{url}")

    async def request():
        try:
            client = AsyncClient(raise_request_exception=False)
            return await client.get(f"/a{url}" if url.startswith("page") else f"/{url}")
        finally:
            for database in registry.list_databases():
                await database.aclose()

    return asyncio.run(request())


TEXTS = [
    (text, MEANINGS[row.error])
    for row in SERVICE_TEXTS
    for text in row.examples
    if MEANINGS[row.error] is not Meaning.COMMAND
]


ONE_PER_MEANING = list({meaning: (text, meaning) for text, meaning in TEXTS}.values())


@pytest.mark.parametrize(("url", "texts"), [("page", TEXTS), ("cached", ONE_PER_MEANING)])
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_no_page_fails_because_of_what_the_server_says(
    url, texts, transport, api, use_fake_database, fake_database
):
    use_fake_database(transport, HEALTH_CHECK_INTERVAL=0.1)
    for text, meaning in texts:
        fake_database.intercept = lambda *_: PASS
        cache.database.failover.breaker.reset()
        assert get(api, url).status_code == 200
        fake_database.intercept = lambda name, *_, text=text, meaning=meaning: (
            PASS
            if meaning is Meaning.FULL and (not COMMANDS[name].writes or COMMANDS[name].deletes)
            else ReplyError(text)
        )
        for _ in range(4):
            assert get(api, f"{url}?text={next(numbers)}").status_code == 200, text


@pytest.mark.parametrize("url", ["page", "cached"])
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_full_database_serves_no_outdated_page(
    url, transport, api, use_fake_database, fake_database
):
    use_fake_database(transport)
    first = get(api, url).content
    assert get(api, url).content == first, "from the cache"
    cache.clear()
    fake_database.intercept = lambda name, *_: (
        ReplyError("ERR DB capacity quota exceeded")
        if COMMANDS[name].writes and not COMMANDS[name].deletes
        else PASS
    )
    pages = {get(api, url).content for _ in range(3)}
    assert len(pages) == 3, "each is rendered anew"
    assert first not in pages


@pytest.mark.parametrize("url", ["page", "cached"])
def test_with_on_full_raise_a_page_fails(url, api, use_fake_database, fake_database):
    use_fake_database("rest", ON_FULL="raise")
    fake_database.intercept = lambda name, *_: (
        ReplyError("ERR DB capacity quota exceeded") if COMMANDS[name].writes else PASS
    )
    assert get(api, url).status_code == 500


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_page_above_the_request_limit_is_not_stored(
    transport, api, site, emulator, caplog, monkeypatch
):
    monkeypatch.setattr(observe, "_logged_at", {})
    site.CACHES = {"default": make_entry(emulator, transport)}
    records = []
    subscribe(records.append)
    try:
        cache.set("large", "old", 60)
        cache.set("large", "x" * 11 * 1024 * 1024, 60)
        for _ in range(2):
            response = get(api, f"page?size={11 * 1024 * 1024}")
            assert response.status_code == 200
            assert len(response.content) > 11 * 1024 * 1024
    finally:
        unsubscribe(records.append)
    if transport == "rest":  # over TCP the emulator's server has no such limit
        assert cache.get_many(["computed", "large"]) == {}
        assert {each.kind for each in records if isinstance(each, ValueDiscarded)} == {"too_large"}
        assert caplog.text.count("a value was not stored") == 1
