"""A site with the panel, its users, and history for its charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.urls import path

from continuum_upstash.observe import CommandDetails
from continuum_upstash.panel.admin import CacheHealthAdmin
from continuum_upstash.panel.key_browser.key_admin import CacheKeyAdmin
from continuum_upstash.panel.models import CacheHealth, CacheKey
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared.schema import day_key, encode_totals, hour_key
from continuum_upstash.stats.totals import Totals

operations = admin.AdminSite(name="operations")
operations.register(CacheHealth, CacheHealthAdmin)
operations.register(CacheKey, CacheKeyAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("operations/", operations.urls)]

HOME = "/admin/continuum_upstash_panel/cachehealth/"
KEYS = "/admin/continuum_upstash_panel/cachekey/"


def page(name="change", alias="default"):
    return f"{HOME}{alias}/{name}/"


def keys_page(name="change", alias="default", **query):
    """Return the path of a page of the key browser."""
    return f"{KEYS}{alias}/{name}/" + (f"?{urlencode(query)}" if query else "")


@dataclass
class Accounts:
    """Users of the admin with different permissions for the panel."""

    def viewer(self):
        return self._user("viewer", "view_cachehealth")

    def operator(self):
        return self._user("operator", "view_cachehealth", "change_cachehealth")

    def browser(self):
        return self._user("browser", "view_cachekey")

    def reader(self):
        return self._user("reader", "view_cachekey", "view_cachevalue")

    def clerk(self):
        return self._user("clerk", "view_cachekey", "change_cachekey")

    def editor(self):
        return self._user("editor", "view_cachekey", "view_cachevalue", "change_cachekey")

    def dispatcher(self):
        return self._user("dispatcher", "view_jobqueue")

    def superuser(self):
        user = self._user("root")
        user.is_superuser = True
        user.save()
        return user

    def stranger(self):
        return self._user("stranger")

    def _user(self, name, *codenames):
        user, _ = User.objects.get_or_create(username=name, is_staff=True)
        user.set_password(name)
        user.save()
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user


def make_totals(commands, hits, *, slow=0.02, errors=0):
    """Return the totals of a process that sent so many GETs."""
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
    """Write totals to the shared statistics, by the begin of their minute or hour."""
    name, number = (hour_key, "%M") if unit == "minute" else (day_key, "%H")
    redis = caches["default"].client.redis
    for at, totals in history.items():
        redis.hset(name("default", at), f"{at:{number}}:test", encode_totals(totals).decode())


def now():
    return datetime.now(UTC)
