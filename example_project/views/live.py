"""A page that receives events while it is open."""

from __future__ import annotations

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation import Channel
from example_project.live_events import CHANNEL


def show(request: HttpRequest) -> HttpResponse:
    return _render_page(request)


@require_POST
def say_hello(request: HttpRequest) -> HttpResponse:
    try:
        Channel(CHANNEL).publish("hello", {"from": request.POST.get("name", "")[:40]})
    except ContinuumError as error:
        return _render_page(request, str(error), 503)
    return redirect("live")


def _render_page(request: HttpRequest, problem: str = "", status_code: int = 200) -> HttpResponse:
    context = {
        "channel": CHANNEL,
        "has_database": caches["federation"].database.config.mode != "local",
        "is_debug": settings.DEBUG,
        "problem": problem,
    }
    return render(request, "example/live.html", context, status=status_code)
