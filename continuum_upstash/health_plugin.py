"""A check for django-health-check 4.

``HealthCheckView.as_view(checks=["continuum_upstash.health_plugin.UpstashCache"])``
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.core.cache import caches
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health.report import Examiner


@dataclass
class UpstashCache(HealthCheck):  # type: ignore[misc]  # it has no types
    """One alias.

    Attributes:
        alias: of CACHES.
        strict: fail while the local store answers in the database's place. Any failure answers a
            probe with 500, and a restart heals no database.
    """

    alias: str = "default"
    strict: bool = False
    _state: str = field(default="OK", init=False, repr=False)

    async def run(self) -> None:
        cache = caches[self.alias]
        if not isinstance(cache, UpstashBaseCache):
            raise ServiceUnavailable(f"'{self.alias}' is no cache of continuum_upstash")
        report = await Examiner(cache).areport()
        if report.verdict == "down":
            raise ServiceUnavailable(f"'{self.alias}' does not answer")
        if report.verdict == "degraded" and self.strict:
            raise ServiceWarning(f"'{self.alias}' is degraded")
        self._state = "OK" if report.verdict == "ok" else f"degraded: {report.status.backend}"

    def pretty_status(self) -> str:
        return self._state
