"""Endpoints for probes and Prometheus.

Responses contain no host names and no error messages, except for those of the configuration: then
no page that uses the cache works.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health.probe import (
    Health,
    get_upstash_caches,
    list_upstash_aliases,
    probe_health,
)
from continuum_upstash.stats.conf import is_enabled
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.exporters.prometheus_text import AliasMetrics, render_text
from continuum_upstash.transports.registry import Database, list_databases

_CACHE_SECONDS: Final = 5.0  # ten probes in this time cost one round trip
_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class _CachedHealth:
    """The last probe of one database."""

    at: float = -inf
    health: Health | None = None


def live(request: HttpRequest) -> HttpResponse:
    """Respond with 200: a restart does not fix a database, so the database is not contacted."""
    del request
    return _respond({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """Respond with 200 if the caches work, including while the local store serves them.

    503 if calls of a cache fail, and with ``?strict=1`` also if a cache is degraded.
    """
    caches = {alias: _describe(alias) for alias in list_upstash_aliases()}
    verdicts = [each["verdict"] for each in caches.values()]
    worst = next((each for each in ("down", "degraded") if each in verdicts), "ok")
    strict = request.GET.get("strict") == "1"
    status = 503 if worst == "down" or (strict and worst != "ok") else 200
    return _respond({"status": worst, "caches": caches}, status)


def metrics(request: HttpRequest) -> HttpResponse:
    """Respond with Prometheus metrics: of all workers with the extra, else of this process."""
    del request
    if is_enabled("PROMETHEUS"):
        from continuum_upstash.health.prometheus_gauges import render_metrics  # noqa: PLC0415 by setting

        return HttpResponse(render_metrics(), content_type=_CONTENT_TYPE)
    databases = {each.config.alias: each for each in list_databases()}
    aliases = {
        alias: _make_metrics(alias, databases.get(alias)) for alias in list_upstash_aliases()
    }
    return HttpResponse(render_text(aliases) + "\n", content_type=_CONTENT_TYPE)


def _make_metrics(alias: str, database: Database | None) -> AliasMetrics:
    if database is None:
        return AliasMetrics(read_process_totals(alias), None)
    totals = read_process_totals(alias, is_local=database.config.mode == "local")
    status = database.status
    return AliasMetrics(totals, status.state, budget=status.budget)


def _describe(alias: str) -> dict[str, Any]:
    try:
        (cache,) = get_upstash_caches([alias])
    except ImproperlyConfigured as error:
        return {"verdict": "down", "backend": None, "state": None, "reason": str(error)}
    health = _probe(cache)
    values = {
        "verdict": health.verdict,
        "backend": health.status.backend,
        "state": health.status.state,
    }
    budget = health.status.budget
    return values if budget is None else {**values, "budget": budget.stage}


def _probe(cache: UpstashBaseCache) -> Health:
    now, cached = monotonic(), cache.database.extras.get(_CachedHealth)
    if cached.health is None or now - cached.at >= _CACHE_SECONDS:
        cached.at, cached.health = now, cache.run(probe_health(cache))
    return cached.health


def _respond(values: dict[str, Any], status: int = 200) -> HttpResponse:
    return JsonResponse(values, status=status, headers={"Cache-Control": "no-store"})
