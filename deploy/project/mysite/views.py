from __future__ import annotations

from django.core.cache import cache, caches
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from continuum_upstash.ratelimit import ratelimit


def show_home(request: HttpRequest) -> HttpResponse:
    """Count visits, and show a value that a program in another language may set."""
    cache.add("visits", 0, timeout=None)
    request.session["visits"] = request.session.get("visits", 0) + 1
    return render(
        request,
        "home.html",
        {
            "visits": cache.incr("visits"),
            "own_visits": request.session["visits"],
            "greeting": caches["shared"].get("greeting", {"text": "Hello"}),
        },
    )


@ratelimit("api")
def return_visits(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"visits": cache.get("visits", 0)})
