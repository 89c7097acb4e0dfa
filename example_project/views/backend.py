"""The active backend, its INFO, and the source of each setting."""

from __future__ import annotations

import os
from statistics import median
from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat

from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ContinuumError

_INFO = (
    ("version", "Redis version"),
    ("upstash_version", "Upstash version"),
    ("keys", "Keys in the database"),
    ("used_memory", "Memory used"),
    ("maxmemory_policy", "Eviction policy"),
)
# They follow from the other settings; no option sets them.
_DERIVED = {"alias", "sources", "unconfigured", "setup_hint"}


def show(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {"backend": cache.current_backend, "settings": _list_settings()}
    try:
        context["ping"] = _measure_ping()
        info = cache.client.info()
        info["used_memory"] = filesizeformat(info["used_memory"])
        context["info"] = [(title, info[name]) for name, title in _INFO if info.get(name)]
    except ContinuumError as error:
        context["error"] = error
    return render(request, "example/backend.html", context)


def _measure_ping() -> dict[str, float]:
    """Return the median and the maximum of five PINGs, in milliseconds."""
    times = []
    for _ in range(5):
        started = perf_counter()
        cache.client.ping()
        times.append((perf_counter() - started) * 1000)
    return {"median": median(times), "slowest": max(times)}


def _list_settings() -> list[tuple[str, Any, str]]:
    """Return the name, value and source of each setting. Secrets are masked in their str()."""
    entry = settings.CACHES["default"]
    options = entry.get("OPTIONS", {})
    config = resolve(options, os.environ, location=entry.get("LOCATION", ""))
    sources = {name.lower(): "OPTIONS" for name in options} | dict(config.sources)
    rows = []
    for name in Config.NAMES:
        if name not in {*_DERIVED, *Config.HIDDEN}:
            value = getattr(config, name)
            source = sources.get(name, _guess_source(name, value))
            rows.append((name.upper(), _format_value(name, value), source))
    return rows


def _guess_source(name: str, value: object) -> str:
    # Config.sources contains credentials only.
    return "default" if value == getattr(Config, name) else "environment"


def _format_value(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{prefix} {number}" for prefix, number in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return filesizeformat(value) if name.endswith("_bytes") else f"{value:,}"
    if isinstance(value, float):
        return f"{value:g} s"
    return "" if value is None else str(value)
