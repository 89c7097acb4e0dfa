"""The panel in django-debug-toolbar, under WSGI and ASGI."""

from __future__ import annotations

import html
import re
from types import ModuleType

import pytest
from django.conf import settings
from django.core.cache import caches
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

from continuum_upstash.decorators import cached
from continuum_upstash.observe import unsubscribe
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry

PAGE = "<html><body>served</body></html>"


def view(request):
    caches["default"].set("k", "secret-value")
    caches["default"].get("k")
    return HttpResponse(PAGE)


def count(request):
    caches["default"].set("n", 1)
    caches["default"].incr("n")
    caches["default"].get_many(["n", "m"])
    return HttpResponse(PAGE)


def repeat(request):
    for _ in range(3):
        caches["default"].get("again")
    return HttpResponse(PAGE)


@cached(timeout=60, key="figures:")
def load_figures():
    return [1]


def figures(request):
    load_figures()
    return HttpResponse(PAGE)


def numbers(request):
    caches["default"].client.redis.set("visits", 1)
    return HttpResponse(PAGE)


async def aview(request):
    await caches["default"].aset("k", "secret-value")
    await caches["default"].aget("k")
    await caches["default"].database.aclose()
    return HttpResponse(PAGE)


def urls():
    """Return a URLconf; the toolbar's app must be installed."""
    module = ModuleType("urls_of_test")
    module.urlpatterns = [
        path("sync/", view),
        path("async/", aview),
        path("count/", count),
        path("figures/", figures),
        path("numbers/", numbers),
        path("repeat/", repeat),
        path("__debug__/", include("debug_toolbar.urls")),
    ]
    return module


@pytest.fixture
def toolbar(emulator):
    panels = override_settings(
        DEBUG=True,
        CACHES={"default": make_entry(emulator)},
        INTERNAL_IPS=["127.0.0.1"],
        STATIC_URL="static/",
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware"],
        DEBUG_TOOLBAR_CONFIG={"SHOW_TOOLBAR_CALLBACK": lambda _: True, "IS_RUNNING_TESTS": False},
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
    )
    # Django calls ready() of new apps before it applies the other settings of the same override.
    apps = override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "debug_toolbar"])
    with panels, apps, override_settings(ROOT_URLCONF=urls()):
        yield
    from continuum_upstash.stats.toolbar import _collect  # noqa: PLC0415 its app must be installed

    unsubscribe(_collect)
    registry.reset()


def check_panel(page, panel):
    assert "2 round trips, 2 billed commands" in html.unescape(page)
    for words in ("upstash-rest", "stored", "hit", "GET"):
        assert words in panel
    assert "secret-value" not in panel
    assert "times the same" not in panel


def find_panel_url(page):
    request_id = re.search(r'data-request-id="([^"]+)"', page)[1]
    return f"/__debug__/render_panel/?request_id={request_id}&panel_id=UpstashPanel"


def test_sync(toolbar):
    client = Client()
    page = client.get("/sync/").content.decode()
    panel = client.get(find_panel_url(page)).json()["content"]
    check_panel(page, panel)
    assert "<code>set</code>" in panel
    assert re.search(r"test_toolbar.py:\d+ \(view\)", panel)


def test_equal_commands_are_marked_with_the_place_of_their_calls(toolbar):
    client = Client()
    page = client.get("/repeat/").content.decode()
    panel = client.get(find_panel_url(page)).json()["content"]
    assert panel.count("<strong>3 times the same</strong>") == 3
    assert len(re.findall(r"test_toolbar.py:\d+ \(repeat\)", panel)) == 3


def test_the_first_key_of_scripts_and_of_several_keys_is_shown(toolbar):
    client = Client()
    page = client.get("/count/").content.decode()
    panel = client.get(find_panel_url(page)).json()["content"]
    assert "<code>EVAL :1:n</code>" in panel
    assert "<code>MGET :1:n…</code>" in panel


def test_a_cached_function_is_shown_by_its_class(toolbar):
    client = Client()
    page = client.get("/figures/").content.decode()
    panel = client.get(find_panel_url(page)).json()["content"]
    assert "<code>CachedFunction</code>" in panel
    assert re.search(r"test_toolbar.py:\d+ \(figures\)", panel)


def test_a_plain_client_may_send_numbers(toolbar):
    page = Client().get("/numbers/").content.decode()
    assert "1 round trip, 1 billed command" in html.unescape(page)


async def test_async(toolbar):
    client = AsyncClient()
    page = (await client.get("/async/")).content.decode()
    panel = (await client.get(find_panel_url(page))).json()["content"]
    check_panel(page, panel)
    assert "<code>aset</code>" in panel
    assert re.search(r"test_toolbar.py:\d+ \(aview\)", panel)
