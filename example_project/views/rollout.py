"""A migration between two caches of this site, with a slider for the percentage."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from continuum_upstash.migration.rollout import (
    Phase,
    RolloutRefused,
    read_rollout,
    write_rollout,
)

ALIAS, OLD, NEW = "moving", "classic", "default"
KEYS = [f"rollout:{number}" for number in range(100)]
EFFECTS = {
    Phase.OFF: "Reads and writes use the old cache.",
    Phase.SHADOW: "Reads use the old cache, writes both; the share of the keys is compared.",
    Phase.CANARY: "The share of the keys is read from the new cache; writes use both.",
    Phase.NEW_PRIMARY: "Reads use the new cache, then the old one; writes use both.",
}


def show(request: HttpRequest) -> HttpResponse:
    return _render_page(request)


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """Store another phase and percentage."""
    phase = request.POST.get("phase", "")
    if phase not in EFFECTS:  # new_only has no way back
        return _render_page(request, "Select a phase.", 400)
    try:
        write_rollout(ALIAS, phase=phase, percent=float(request.POST.get("percent", "")))
    except RolloutRefused as error:
        return _render_page(request, str(error), 409)
    except ValueError:
        return _render_page(request, "Select a percentage from 0 to 100.", 400)
    return redirect("rollout")


@require_POST
def store(request: HttpRequest) -> HttpResponse:
    """Store a value for each key in the old cache only, as before the migration."""
    caches[OLD].set_many({key: number for number, key in enumerate(KEYS)}, 600)
    return redirect("rollout")


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Read all keys as the site does; what only the old cache has is copied to the new one."""
    caches[ALIAS].get_many(KEYS)
    return redirect("rollout")


@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    caches[ALIAS].delete_many(KEYS)
    return redirect("rollout")


def _render_page(request: HttpRequest, problem: str = "", status_code: int = 200) -> HttpResponse:
    rollout = read_rollout(ALIAS)
    on_old, on_new = (caches[alias].get_many(KEYS) for alias in (OLD, NEW))
    keys = [{"name": key, "is_new": rollout.uses_new(key)} for key in KEYS]
    context: dict[str, Any] = {
        "rollout": rollout,
        "percent": f"{rollout.percent:g}",  # not localized: a form reads it
        "phases": EFFECTS.items(),
        "keys": keys,
        "from_new": sum(each["is_new"] for each in keys),
        "on_old": len(on_old),
        "on_new": len(on_new),
        "problem": problem,
    }
    return render(request, "example/rollout.html", context, status=status_code)
