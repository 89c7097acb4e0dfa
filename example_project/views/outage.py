"""Simulates outages: the pages keep working, and the badge shows the active backend."""

from __future__ import annotations

import os
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

OUTAGE_SECONDS = int(os.environ.get("DEMO_OUTAGE_SECONDS", "20"))


@dataclass(frozen=True, slots=True)
class Outage:
    title: str
    fault: dict[str, Any]
    effect: str


OUTAGES = {
    "refuse": Outage(
        "Connection refused",
        {"kind": "refuse"},
        "The port is closed. After three failures the circuit breaker opens for 2 s, then for 4 s, "
        "8 s and 16 s. After each pause one call probes the database.",
    ),
    "hang": Outage(
        "Timeout",
        {"kind": "hang"},
        "Three calls time out after 2 s each. Then the circuit breaker opens, and pages are fast "
        "again.",
    ),
    "http": Outage(
        "HTTP 502",
        {"kind": "http", "status": 502},
        "A gateway returns an HTML error page. The effect is the same as of a refused connection.",
    ),
    "quota": Outage(
        "Quota exceeded",
        {"kind": "quota"},
        "The first error opens the circuit breaker for four to five minutes, because a quota is "
        "not raised within seconds. “End outage” closes it at once.",
    ),
    "everything": Outage(
        "Cache and sessions",
        {"kind": "refuse", "side": "both"},
        "The devices page and the admin return 503. You cannot end this outage early, because your "
        "login cannot be read. Afterwards you are still logged in.",
    ),
}

View = Callable[[HttpRequest], HttpResponse]


def require_debug(view: View) -> View:
    @wraps(view)
    def check_debug(request: HttpRequest) -> HttpResponse:
        if not settings.DEBUG:
            raise Http404
        return view(request)

    return check_debug


@require_debug
def show(request: HttpRequest) -> HttpResponse:
    return _render_page(request)


@require_POST
@require_debug
def start_outage(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("kind", "")
    if name not in OUTAGES:
        return _render_page(request, "Unknown outage.", 400)
    if not _is_staff(request):
        return _render_page(request, "Only staff users may break the database.", 403)
    _reset("outage simulated")
    emulator.start_fault(OUTAGES[name].fault, OUTAGE_SECONDS)
    return redirect("outage")


@require_POST
@require_debug
def end_outage(request: HttpRequest) -> HttpResponse:
    if not _is_staff(request):
        return _render_page(request, "Only staff users may end an outage.", 403)
    _reset("outage ended manually")
    return redirect("outage")


def _reset(reason: str) -> None:
    """End all faults and reset the circuit breakers, which may stay open after an outage."""
    emulator.end_faults()
    for backend in caches.all(initialized_only=False):
        backend.database.failover.breaker.reset(reason)


def _render_page(request: HttpRequest, problem: str = "", status_code: int = 200) -> HttpResponse:
    cache.get("counter")  # one call, so that this page alone detects an outage and its end
    status, now = cache.status, time.time()
    is_active = emulator.is_configured() and emulator.has_fault()
    is_staff = _is_staff(request)
    context = {
        "status": status,
        "seconds_since": now - status.since,
        "next_probe": status.next_probe and max(0, status.next_probe - now),
        "outages": OUTAGES.items(),
        "is_active": is_active,
        "is_degraded": is_active or status.state != "closed" or is_staff is None,
        "seconds": OUTAGE_SECONDS,
        "has_emulator": emulator.is_configured(),
        "is_staff": is_staff,
        "problem": problem,
    }
    return render(request, "example/outage.html", context, status=status_code)


def _is_staff(request: HttpRequest) -> bool | None:
    """Return None while the session store is unavailable."""
    try:
        return bool(request.user.is_staff)
    except SessionStoreUnavailable:
        return None
