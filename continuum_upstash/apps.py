"""The app, for INSTALLED_APPS: signals, statistics and checks. A cache works without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import AppConfig
from django.conf import settings

from continuum_upstash.checks import add_checks
from continuum_upstash.observe import subscribe
from continuum_upstash.signals import send_signals
from continuum_upstash.stats import counters, sampling
from continuum_upstash.stats.conf import is_enabled
from continuum_upstash.stats.shared import writer


class ContinuumUpstashConfig(AppConfig):
    name = "continuum_upstash"
    verbose_name = "Upstash cache"

    def ready(self) -> None:
        subscribe(send_signals)
        add_checks()
        counters.start()
        sampling.start()
        writer.start()
        entries: Iterable[Mapping[str, Any]] = settings.CACHES.values()
        if any(entry.get("OPTIONS", {}).get("BUDGET") for entry in entries):
            from continuum_upstash.health import budget_source  # noqa: PLC0415 by option

            budget_source.start()
        if is_enabled("PROMETHEUS"):
            from continuum_upstash.stats.exporters import prometheus  # noqa: PLC0415 by setting

            prometheus.start()
        if is_enabled("OTEL"):
            from continuum_upstash.stats.exporters import otel  # noqa: PLC0415 by setting

            otel.start()
