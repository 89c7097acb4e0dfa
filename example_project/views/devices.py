"""The sessions of a user: list the logged-in devices and log them out."""

from __future__ import annotations

import re
from datetime import datetime

from django.contrib import auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from continuum_upstash.sessions.index import active_sessions, end_session, logout_everywhere

_BROWSER = re.compile(r"Firefox|Edg|OPR|Chrome|Safari|curl|httpx")
_SYSTEM = re.compile(r"Android|iPhone|iPad|Windows|Mac OS X|Linux")
_NAMES = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS"}


def show(request: HttpRequest) -> HttpResponse:
    devices = []
    if request.user.is_authenticated:
        sessions = active_sessions(request.user, current=request.session)
        devices = [
            {
                "id": session.id,
                "current": session.current,
                "name": session.data.get("device", "An unknown browser"),
                "since": _parse_time(session.data.get("since")),
            }
            # This device first, then the latest login.
            for session in sorted(
                sessions,
                key=lambda each: (each.current, each.data.get("since", "")),
                reverse=True,
            )
        ]
    return render(request, "example/devices.html", {"devices": devices})


def record_device(request: HttpRequest, **_: object) -> None:
    """Store the device in the session after each login, also after one in the admin."""
    request.session["device"] = _describe_device(request.headers.get("User-Agent", ""))
    request.session["since"] = timezone.now().isoformat()


@require_POST
def login(request: HttpRequest) -> HttpResponse:
    """Log in as a guest. The admin logs in at /admin/, with a password."""
    guest, _ = User.objects.get_or_create(username="guest")
    auth.login(request, guest, "django.contrib.auth.backends.ModelBackend")
    return redirect("devices")


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("devices")


@require_POST
@login_required(login_url="devices")
def end_device(request: HttpRequest) -> HttpResponse:
    end_session(request.user, request.POST.get("id", ""))
    return redirect("devices")


@require_POST
@login_required(login_url="devices")
def end_other_devices(request: HttpRequest) -> HttpResponse:
    logout_everywhere(request.user, keep=request.session)
    return redirect("devices")


@require_POST
@login_required(login_url="devices")
def end_all_devices(request: HttpRequest) -> HttpResponse:
    logout_everywhere(request.user)
    auth.logout(request)
    return redirect("devices")


def _parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _describe_device(user_agent: str) -> str:
    browser, system = _BROWSER.search(user_agent), _SYSTEM.search(user_agent)
    words = [_NAMES.get(match[0], match[0]) for match in (browser, system) if match]
    return " on ".join(words) or "An unknown browser"
