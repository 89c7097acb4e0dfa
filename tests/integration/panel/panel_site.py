"""A site with the panel: fixtures for its tests, by test client and by browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.urls import path

from continuum_upstash.observe import CommandDetails
from continuum_upstash.panel.admin import CacheHealthAdmin
from continuum_upstash.panel.breaker_log import changes
from continuum_upstash.panel.models import CacheHealth
from continuum_upstash.panel.ratelimit_counts import decisions
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared.schema import day_key, encode_totals, hour_key
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports import registry
from tests.integration.panel.panel_html import Page

operations = admin.AdminSite(name="operations")
operations.register(CacheHealth, CacheHealthAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("operations/", operations.urls)]

_numbers = count()
HOME = "/admin/continuum_upstash_panel/cachehealth/"


def page(name="change", alias="default"):
    return f"{HOME}{alias}/{name}/"


@dataclass
class Accounts:
    """Users of the admin by what they may do with the panel."""

    def viewer(self):
        return self._user("viewer", "view_cachehealth")

    def operator(self):
        return self._user("operator", "view_cachehealth", "change_cachehealth")

    def stranger(self):
        return self._user("stranger")

    def _user(self, name, *codenames):
        user, _ = User.objects.get_or_create(username=name, is_staff=True)
        user.set_password(name)
        user.save()
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user


@pytest.fixture
def accounts(transactional_db):
    return Accounts()


@pytest.fixture
def configure_panel(settings, request):
    """Return a function that puts alias "default" on a transport: rest, tcp or local."""
    settings.ROOT_URLCONF = __name__
    changes.forget()  # those of the tests before
    decisions.forget()

    def set_up(transport="rest", location=None, **options):
        if transport == "local":
            location, options = "", {"MODE": "local", **options}
        elif location is None:
            emulator = request.getfixturevalue("emulator")
            location = emulator.rest_url if transport == "rest" else emulator.redis_url
            if transport == "rest":
                options = {"TOKEN": emulator.token, **options}
        settings.CACHES = {
            "default": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "LOCATION": location,
                "KEY_PREFIX": f"panel{next(_numbers)}",
                "OPTIONS": options,
            }
        }

    yield set_up
    registry.reset()


@pytest.fixture
def panel(configure_panel):
    """Alias "default" on the emulator, over REST."""
    configure_panel()


def some_totals(commands, hits, *, slow=0.02, errors=0):
    """Return what a process counts that did so many GETs."""
    counters = Counters()
    for number in range(commands):
        reply = b"value" if number < hits else None
        seconds = slow if number % 20 == 0 else 0.0012
        counters.count(CommandDetails("a", "upstash-rest", [("GET", "k")], [reply], seconds, None))
    totals = counters.read("a").get("upstash-rest", Totals())
    if errors:
        totals.errors["DeadlineExceeded"] = errors
    return totals


def write_history(history, unit):
    """Put them into the shared statistics: {begin of a minute or an hour: totals}."""
    name, number = (hour_key, "%M") if unit == "minute" else (day_key, "%H")
    redis = caches["default"].client.redis
    for at, totals in history.items():
        redis.hset(name("default", at), f"{at:{number}}:test", encode_totals(totals).decode())


def now():
    return datetime.now(UTC)


@pytest.fixture
def visit(client, accounts):
    """Return a function that opens a page as somebody."""

    def opened(path, who="operator", **headers):
        client.force_login(getattr(accounts, who)())
        return Page(client.get(path, headers=headers))

    return opened
