"""An outage to watch: pages go on working, and the badge says who answers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.cache import cache, caches
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from continuum_upstash.errors import SessionStoreUnavailable
from example_project import emulator

SECONDS = 20


@dataclass(frozen=True, slots=True)
class Outage:
    title: str
    fault: dict[str, Any]
    leads_to: str


OUTAGES = {
    "refuse": Outage(
        "Nobody there",
        {"kind": "refuse"},
        "The port is closed. After three failed calls nobody asks for 2 s, then one call tries; "
        "then for 4 s, 8 s, 16 s. The first try after the end finds the database well.",
    ),
    "hang": Outage(
        "No answer",
        {"kind": "hang"},
        "Three calls wait 2 s each for a reply that does not come; then pages are quick again.",
    ),
    "http": Outage(
        "HTTP 502",
        {"kind": "http", "status": 502},
        "A gateway answers in HTML, at once. It goes on as when nobody is there.",
    ),
    "quota": Outage(
        "Quota used up",
        {"kind": "quota"},
        "The first refusal is enough, and nobody asks for four to five minutes: a plan is not "
        "changed within seconds. “End it now” does not wait for that.",
    ),
    "everything": Outage(
        "Sessions, too",
        {"kind": "refuse", "side": "both"},
        "The devices page and the admin answer 503: sessions are not guessed at. Nobody can tell "
        "who you are, so nothing can be ended here meanwhile; afterwards you are still logged in.",
    ),
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
    _start_anew("an outage is played")
    emulator.play(OUTAGES[name].fault, SECONDS)
    return redirect("outage")


@require_POST
@in_debug_only
def end(request: HttpRequest) -> HttpResponse:
    if not _is_staff(request):
        return _page(request, "Only staff may end an outage.", 403)
    _start_anew("the outage was ended by hand")
    return redirect("outage")


def _start_anew(reason: str) -> None:
    """End what is played, and have the caches ask again: a break may outlast its outage."""
    emulator.play_nothing()
    for each in caches.all(initialized_only=False):
        each.database.standby.breaker.reset(reason)


def _page(request: HttpRequest, problem: str = "", status_code: int = 200) -> HttpResponse:
    cache.get("counter")  # one call, so that looking here is enough to meet an outage or its end
    status, now = cache.status, time.time()
    playing = emulator.is_running() and emulator.is_played()
    is_staff = _is_staff(request)
    context = {
        "status": status,
        "seconds_since": now - status.since,
        "next_probe": status.next_probe and max(0, status.next_probe - now),
        "outages": OUTAGES.items(),
        "playing": playing,
        "in_trouble": playing or status.state != "closed" or is_staff is None,
        "seconds": SECONDS,
        "playable": emulator.is_running(),
        "is_staff": is_staff,
        "problem": problem,
    }
    return render(request, "example/outage.html", context, status=status_code)


def _is_staff(request: HttpRequest) -> bool | None:
    """Return None while nobody can tell: sessions are not guessed at."""
    try:
        return bool(request.user.is_staff)
    except SessionStoreUnavailable:
        return None
