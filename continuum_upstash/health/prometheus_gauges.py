"""What a scrape shows beside the counters: gauges for which somebody has to be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health import report as health
from continuum_upstash.health.overview import Overseer, Overview
from continuum_upstash.stats.exporters.metrics import COMMANDS_RATIO, MEMORY_RATIO
from continuum_upstash.stats.exporters.prometheus import get_observer, render

# Seconds. Each refresh reads two or three hashes, which is billed; scrapes come every 15 s.
_FRESH: Final = 300.0

_refreshed: dict[str, float] = {}


def scraped() -> bytes:
    """Return the text that Prometheus reads."""
    now = monotonic()
    for cache in health.ours(health.aliases()):
        alias = cache.database.config.alias
        if now - _refreshed.get(alias, -_FRESH) >= _FRESH:
            _refreshed[alias] = now
            _refresh(alias, _looked(cache))
    return render()


def _refresh(alias: str, overview: Overview | None) -> None:
    if overview is None:
        return
    server, bill = overview.report.server, overview.bill
    if server is not None and server.memory_used is not None:
        get_observer().set_gauge(MEMORY_RATIO, server.memory_used, alias)
    if bill is not None and bill.used_ratio is not None:
        get_observer().set_gauge(COMMANDS_RATIO, bill.used_ratio, alias)


def _looked(cache: UpstashBaseCache) -> Overview | None:
    try:
        return Overseer(cache).overview(timedelta(minutes=1), datetime.now(UTC))
    except ContinuumError:
        return None  # the counters and the breaker's state tell of it
