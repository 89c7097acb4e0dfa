"""Two limits side by side, and what a client is told of them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from continuum_upstash.ratelimit import ratelimit
from continuum_upstash.ratelimit.conf import conf


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "example/limits.html", {"policies": conf.policies.values()})


@ratelimit("api")
def api(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": 42})


@ratelimit("search")
async def search(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"found": ["a needle"]})
