from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from continuum_upstash.observe import subscribe
from continuum_upstash.panel import page_cost
from continuum_upstash.panel.breaker_log import log_state_change
from continuum_upstash.panel.ratelimit_counts import count_decision


class PanelConfig(AppConfig):
    name = "continuum_upstash.panel"
    label = "continuum_upstash_panel"
    verbose_name = _("Upstash")

    def ready(self) -> None:
        subscribe(log_state_change)
        subscribe(count_decision)
        subscribe(page_cost.observe)
