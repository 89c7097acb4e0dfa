"""A counter that all visitors share."""

from __future__ import annotations

import asyncio

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

KEY = "counter"


def show(request: HttpRequest) -> HttpResponse:
    return render(request, "example/counter.html", {"total": cache.get(KEY, 0)})


def get_value(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"total": cache.get(KEY, 0)})


@require_POST
def add_one(request: HttpRequest) -> HttpResponse:
    # incr() raises ValueError for a missing key; add() does not change an existing one.
    cache.add(KEY, 0, timeout=None)
    cache.incr(KEY)
    return redirect("counter")


@require_POST
async def add_hundred(request: HttpRequest) -> HttpResponse:
    await cache.aadd(KEY, 0, timeout=None)
    await asyncio.gather(*(cache.aincr(KEY) for _ in range(100)))
    return redirect("counter")
