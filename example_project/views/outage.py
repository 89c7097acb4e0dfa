"""An outage to watch: pages go on working, and the badge says who answers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from continuum_upstash.errors import SessionStoreUnavailable
from example_project import emulator

SECONDS = 20
OUTAGES = {
    "refuse": ("Nobody there", {"kind": "refuse"}),
    "hang": ("No answer", {"kind": "hang"}),
    "http": ("HTTP 502", {"kind": "http", "status": 502}),
    "quota": ("Quota used up", {"kind": "quota"}),
    "everything": ("Sessions, too", {"kind": "refuse", "side": "both"}),
}

View = Callable[[HttpRequest], HttpResponse]


def in_debug_only(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not settings.DEBUG:
            raise Http404
        return view(request)

    return guarded


@in_debug_only
def page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
@in_debug_only
def start(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("kind", "")
    if name not in OUTAGES:
        return _page(request, "There is no such outage.", 400)
    if not _is_staff(request):
        return _page(request, "Only staff may break the database.", 403)
    emulator.play(OUTAGES[name][1], SECONDS)
    return redirect("outage")


def _page(request: HttpRequest, problem: str = "", status_code: int = 200) -> HttpResponse:
    status, now = cache.status, time.time()
    context = {
        "status": status,
        "seconds_since": now - status.since,
        "next_probe": status.next_probe and max(0, status.next_probe - now),
        "outages": [(name, title) for name, (title, _) in OUTAGES.items()],
        "seconds": SECONDS,
        "playable": emulator.is_running(),
        "is_staff": _is_staff(request),
        "problem": problem,
    }
    return render(request, "example/outage.html", context, status=status_code)


def _is_staff(request: HttpRequest) -> bool | None:
    """Return None while nobody can tell: sessions are not guessed at."""
    try:
        return bool(request.user.is_staff)
    except SessionStoreUnavailable:
        return None
