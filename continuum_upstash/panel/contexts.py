"""Template contexts of the pages; each reads only what it needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health.overview import Overview, read_overview
from continuum_upstash.health.probe import (
    Health,
    get_upstash_caches,
    list_upstash_aliases,
    probe_health,
)
from continuum_upstash.panel import formatting, settings_table
from continuum_upstash.panel.account_summary import MINUTES, summarize_account
from continuum_upstash.panel.actions import ACTIONS
from continuum_upstash.panel.breaker_log import BreakerLog
from continuum_upstash.panel.charts import make_chart_group
from continuum_upstash.panel.figures import make_tiles
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_sample import MAX_PAGES, sample_keys
from continuum_upstash.panel.ratelimit_counts import make_rate_limit_table
from continuum_upstash.panel.session_summary import summarize_sessions
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES, NO_FAILURES
from continuum_upstash.transports.registry import get_process_state

_ICONS: Final = {"ok": "✓", "degraded": "!", "down": "✕"}
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MAX_COMMANDS: Final = 10


@dataclass(frozen=True, slots=True)
class Summary:
    """An alias in the list.

    Attributes:
        overview: with today's statistics and the month's bill; None: its entry in CACHES is wrong.
        problem: what is wrong with the entry.
        breaker: what the breaker does, if it prevents calls and no error says so.
    """

    alias: str
    overview: Overview | None
    badge: dict[str, Any]
    problem: str = ""
    breaker: Text = ""


def list_summaries() -> list[Summary]:
    """Return all aliases; billed as `read_overview` for today, mostly one command for each."""
    return [_summarize(alias) for alias in list_upstash_aliases()]


def probe(cache: UpstashBaseCache) -> Health:
    """Return the health of a cache; not billed."""
    return cache.run(probe_health(cache))


def read_figures(cache: UpstashBaseCache) -> Overview:
    """Return the overview that the figures show: up to four billed commands, once a day more."""
    return cache.run(read_overview(cache, minutes=_HOUR, hours=_DAY))


def describe_state(cache: UpstashBaseCache, health: Health) -> dict[str, Any]:
    reason = health.status.reason
    is_shown = reason != NO_FAILURES and not health.errors  # the errors state the reason
    return {
        "health": health,
        "status": health.status,
        "badge": _make_badge(health.verdict),
        "headline": formatting.summarize(health),
        "state_text": formatting.STATES[health.status.state],
        "reason": reason if is_shown else "",
        "process": os.getpid(),
        "changes": get_process_state(BreakerLog).for_alias(health.alias),
        "actions": {name: each for name, each in ACTIONS.items() if each.is_available(cache)},
    }


def describe_figures(cache: UpstashBaseCache, overview: Overview) -> dict[str, Any]:
    groups = []
    if overview.minutes and overview.hours:
        groups = [
            make_chart_group("hour", _("The last hour, by minute"), overview.minutes),
            make_chart_group("day", _("The last day, by hour"), overview.hours),
        ]
    totals = overview.hours.totals if overview.hours else overview.process
    return {
        "account": summarize_account(cache.database, overview),
        "account_minutes": MINUTES,
        "overview": overview,
        "unreachable": overview.health.mode != "local" and overview.health.round_trip is None,
        "groups": groups,
        "tiles": make_tiles(overview),
        "commands": totals.list_billed_commands()[:_MAX_COMMANDS],
        "errors": sorted(totals.errors.items(), key=lambda item: -item[1]),
    }


def describe_keys(cache: UpstashBaseCache, health: Health, *, sample: bool) -> dict[str, Any]:
    """Return what the database stores; only a sample of the keys is billed."""
    return {
        "sampled": sample,
        "pages": MAX_PAGES,
        "keys": cache.run(sample_keys(cache)) if sample else None,
        "sessions": summarize_sessions(health.alias, health.server, count=sample),
    }


def describe_settings(cache: UpstashBaseCache) -> dict[str, Any]:
    config = cache.database.config
    return {
        "entries": settings_table.list_entries(config),
        "limits": make_rate_limit_table(config.alias),
    }


def _summarize(alias: str) -> Summary:
    try:
        (cache,) = get_upstash_caches([alias])
    except ImproperlyConfigured as error:
        return Summary(alias, None, _make_badge("down"), str(error))
    overview = cache.run(read_overview(cache))
    health = overview.health
    state = health.status.state
    unexplained = state not in CALLING_STATES and not health.errors
    breaker = formatting.STATES[state] if unexplained else ""
    return Summary(alias, overview, _make_badge(health.verdict), breaker=breaker)


def _make_badge(verdict: str) -> dict[str, Any]:
    return {"name": verdict, "text": formatting.VERDICTS[verdict], "icon": _ICONS[verdict]}
