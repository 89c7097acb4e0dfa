"""The budget block of the cost page: a limit that all processes of the database keep together."""

from __future__ import annotations

from typing import Final

from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.observe import BackendStatus
from example_project.budget import DEFAULT, write_budget

ALIAS: Final = "budget"
COMMANDS: Final = 100
# How much of the budget is used after it was changed, by the stage that begins then.
_PARTS: Final = {"warn": 0.85, "near": 0.92, "essential": 0.97, "local": 1.0}


def read_status() -> BackendStatus | None:
    """Return the status of the cache with a budget; None without a database."""
    cache = caches[ALIAS]
    if not isinstance(cache, UpstashBaseCache):
        return None
    if cache.status.budget is None:
        cache.get("any")  # the first command of a process reads what is used
    return cache.status if cache.status.budget is not None else None


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """Set the budget by the stage that it is to reach, or raise it again."""
    part = _PARTS.get(request.POST.get("stage", ""))
    used = _count_used()
    if part and used < COMMANDS:  # the stages of a small budget are less than a command apart
        _use_cache()
        used = _count_used()
    if used:
        write_budget(int(used / part) if part else DEFAULT)
    return redirect("costs")


@require_POST
def send_commands(request: HttpRequest) -> HttpResponse:
    """Write and read a value many times, in the database or in the local store."""
    del request
    _use_cache()
    return redirect("costs")


def _count_used() -> int:
    status = read_status()
    return status.budget.used if status is not None and status.budget is not None else 0


def _use_cache() -> None:
    cache = caches[ALIAS]
    for number in range(COMMANDS // 2):
        cache.set("number", number)
        cache.get("number")
