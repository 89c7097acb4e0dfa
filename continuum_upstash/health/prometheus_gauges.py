"""The gauges of a scrape that are read from the database; the other metrics are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Final

from continuum_upstash.health.overview import Overview, read_overview
from continuum_upstash.health.probe import iter_configured_caches
from continuum_upstash.stats.exporters.metrics import COMMANDS_RATIO, MEMORY_RATIO
from continuum_upstash.stats.exporters.prometheus import get_observer, render

# Seconds. Each refresh reads a hash or more, which is billed; scrapes usually come every 15 s.
_CACHE_SECONDS: Final = 300.0


@dataclass(slots=True)
class _Refreshed:
    """When the gauges of one database were read last."""

    at: float = -inf


def render_metrics() -> bytes:
    """Return the text that Prometheus reads."""
    now = monotonic()
    for cache in iter_configured_caches():
        refreshed = cache.database.extras.get(_Refreshed)
        if now - refreshed.at >= _CACHE_SECONDS:
            refreshed.at = now
            _set_gauges(cache.run(read_overview(cache)))
    return render()


def _set_gauges(overview: Overview) -> None:
    observer, metrics = get_observer(), overview.as_metrics()
    for metric, ratio in (
        (MEMORY_RATIO, metrics.memory_ratio),
        (COMMANDS_RATIO, metrics.commands_ratio),
    ):
        if ratio is not None:
            observer.set_gauge(metric, ratio, overview.health.alias)
