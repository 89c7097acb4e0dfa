"""Endpoints for probes and scrapers. They name no host and show no error's text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse

from continuum_upstash.health import report as health
from continuum_upstash.health.report import Examiner, Report
from continuum_upstash.stats.conf import is_enabled
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.exporters.prometheus_text import AliasMetrics, render_text
from continuum_upstash.transports.registry import list_databases

_FRESH: Final = 5.0  # seconds: ten probes in that time cost one round trip
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class _Looks:
    """The last report of each alias."""

    taken: dict[str, tuple[float, Report]] = field(default_factory=dict)

    def fresh(self) -> Iterator[Report]:
        for cache in health.ours(health.aliases()):
            alias, now = cache.database.config.alias, monotonic()
            at, report = self.taken.get(alias, (-_FRESH, None))
            if report is None or now - at >= _FRESH:
                report = Examiner(cache).report()
                self.taken[alias] = (now, report)
            yield report


_looks = _Looks()


def live(request: HttpRequest) -> HttpResponse:
    """Say that this process serves. A restart heals no database, so none is asked."""
    del request
    return _answer({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """Say whether this process can do its work: 200 also while the local store answers.

    503 when an alias has no answer at all, and with ``?strict=1`` when one is degraded.
    """
    reports = list(_looks.fresh())
    verdicts = [report.verdict for report in reports]
    worst = next((each for each in ("down", "degraded") if each in verdicts), "ok")
    strict = request.GET.get("strict") == "1"
    status = 503 if worst == "down" or (strict and worst != "ok") else 200
    caches = {
        report.alias: {
            "verdict": report.verdict,
            "backend": report.status.backend,
            "state": report.status.state,
        }
        for report in reports
    }
    return _answer({"status": worst, "caches": caches}, status)


def metrics(request: HttpRequest) -> HttpResponse:
    """Show what Prometheus reads: with the extra of all workers, else of this process."""
    del request
    if is_enabled("PROMETHEUS"):
        from continuum_upstash.health.prometheus_gauges import scraped  # noqa: PLC0415 by setting

        return HttpResponse(scraped(), content_type=_TEXT)
    states = {each.config.alias: each.status.state for each in list_databases()}
    known = {
        alias: AliasMetrics(read_process_totals(alias), states.get(alias))
        for alias in health.aliases()
    }
    return HttpResponse(render_text(known) + "\n", content_type=_TEXT)


def _answer(values: dict[str, Any], status: int = 200) -> HttpResponse:
    return JsonResponse(values, status=status, headers={"Cache-Control": "no-store"})
