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
            "greeting": read_greeting(),
        },
    )


@ratelimit("api")
def return_visits(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"visits": cache.get("visits", 0)})


@ratelimit("shared")
def return_greeting(request: HttpRequest) -> JsonResponse:
    """Return the shared value, within the limit that other programs count, too."""
    return JsonResponse(read_greeting())


def read_greeting() -> dict[str, str]:
    return caches["shared"].get("greeting", {"text": "Hello"})
