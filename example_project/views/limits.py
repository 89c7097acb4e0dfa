"""Two independent rate limits and their response headers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from continuum_upstash.ratelimit import ratelimit
from continuum_upstash.ratelimit.conf import conf


def show(request: HttpRequest) -> HttpResponse:
    return render(request, "example/limits.html", {"policies": conf.policies.values()})


@ratelimit("api")
def call_api(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"answer": 42})


@ratelimit("search")
async def search(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"found": ["a needle"]})
