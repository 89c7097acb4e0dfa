"""A check for django-health-check 4.

``HealthCheckView.as_view(checks=["continuum_upstash.health_plugin.UpstashCache"])``
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health.probe import probe_health


@dataclass
class UpstashCache(HealthCheck):  # type: ignore[misc]  # it has no types
    """Checks one cache.

    Attributes:
        alias: of CACHES.
        strict: also fail while the local store serves the cache. Any failure makes the health page
            respond with 500. Do not use it for liveness: a restart does not fix a database.
    """

    alias: str = "default"
    strict: bool = False
    _state: str = field(default="OK", init=False, repr=False)

    async def run(self) -> None:
        try:
            cache = caches[self.alias]
        except ImproperlyConfigured as error:
            raise ServiceUnavailable(str(error)) from error
        if not isinstance(cache, UpstashBaseCache):
            raise ServiceUnavailable(f"Cache '{self.alias}' does not use continuum_upstash")
        health = await cache.arun(probe_health(cache))
        if health.verdict == "down":
            raise ServiceUnavailable(f"Cache '{self.alias}' is down: the database is unreachable")
        if health.verdict == "degraded" and self.strict:
            raise ServiceWarning(f"Cache '{self.alias}' is degraded")
        self._state = "OK" if health.verdict == "ok" else f"degraded: {health.status.backend}"

    def pretty_status(self) -> str:
        return self._state
