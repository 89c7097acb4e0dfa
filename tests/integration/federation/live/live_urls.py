"""The site of the tests: the route of live pages, and a permission by a header's name."""

from __future__ import annotations

import asyncio

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [path("api/", include("continuum_upstash.federation.urls"))]


async def authorize(request, channels):
    await asyncio.sleep(0)
    return all(name.startswith("room") for name in channels)


def authorize_in_thread(request, channels):
    return HttpResponse("sign in", status=401) if "secret" in channels else True


def refuse_by_mistake(request, channels):
    return "yes"
