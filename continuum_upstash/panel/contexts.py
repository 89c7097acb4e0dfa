"""What the pages show, as template contexts; each reads what it needs and no more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health import report as health
from continuum_upstash.health.report import Examiner, Report
from continuum_upstash.panel import formatting, settings_table
from continuum_upstash.panel.actions import ACTIONS
from continuum_upstash.panel.breaker_log import changes
from continuum_upstash.panel.charts import sheet
from continuum_upstash.panel.figures import Reader, tiles
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_sample import PAGES, Sampler
from continuum_upstash.panel.ratelimit_counts import limits
from continuum_upstash.panel.session_summary import sessions
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES

_ICONS: Final = {"ok": "✓", "degraded": "!", "down": "✕"}


@dataclass(frozen=True, slots=True)
class Summary:
    """An alias in the list.

    Attributes:
        report: None: its entry in CACHES is wrong.
        problem: what is wrong with it.
        breaker: what the breaker does, where no error says why nobody asks the database.
    """

    alias: str
    report: Report | None
    badge: dict[str, Any]
    problem: str = ""
    breaker: Text = ""


def summaries() -> list[Summary]:
    return [_summary(alias) for alias in health.aliases()]


def state(cache: UpstashBaseCache) -> dict[str, Any]:
    """Return how the database is doing; nothing in it is billed."""
    report = Examiner(cache).report()
    return {
        "report": report,
        "status": report.status,
        "badge": _badge(report.verdict),
        "headline": formatting.headline(report),
        "state_text": formatting.STATES[report.status.state],
        "process": os.getpid(),
        "changes": changes.of(report.alias),
        "actions": {name: each for name, each in ACTIONS.items() if each.offered(cache)},
    }


def figures(cache: UpstashBaseCache, report: Report | None = None) -> dict[str, Any]:
    """Return what the statistics say: four billed commands, more once a day.

    Args:
        cache: whose statistics.
        report: of this very moment, if there is one: who does not answer is not asked again.
    """
    silent = report is not None and report.round_trip is None
    read = Reader(cache).figures(datetime.now(UTC), silent=silent)
    sheets = []
    if read.hour and read.day:
        sheets = [
            sheet("hour", _("The last hour, by minute"), read.hour),
            sheet("day", _("The last day, by hour"), read.day),
        ]
    total = read.day.total if read.day else read.own
    return {
        "figures": read,
        "silent": silent,
        "sheets": sheets,
        "tiles": tiles(read),
        "commands": sorted(total.commands.items(), key=lambda item: -item[1])[:10],
        "errors": sorted(total.errors.items(), key=lambda item: -item[1]),
    }


def keys(cache: UpstashBaseCache, report: Report, *, asked: bool) -> dict[str, Any]:
    """Return what the database holds, as far as the reader asked for it."""
    return {
        "asked": asked,
        "pages": PAGES,
        "keys": Sampler(cache).keys() if asked else None,
        "sessions": sessions(report.alias, report.server, count=asked),
    }


def settings(cache: UpstashBaseCache) -> dict[str, Any]:
    config = cache.database.config
    return {"entries": settings_table.entries(config), "limits": limits(config)}


def _summary(alias: str) -> Summary:
    try:
        (cache,) = health.ours([alias])
    except ImproperlyConfigured as error:
        return Summary(alias, None, _badge("down"), str(error))
    report = Examiner(cache).report()
    state = report.status.state
    untold = state not in CALLING_STATES and not report.errors
    breaker = formatting.STATES[state] if untold else ""
    return Summary(alias, report, _badge(report.verdict), breaker=breaker)


def _badge(verdict: str) -> dict[str, Any]:
    return {"name": verdict, "text": formatting.VERDICTS[verdict], "icon": _ICONS[verdict]}
