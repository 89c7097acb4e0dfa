"""How the caches of a site are doing, and what they cost.

Both are plans, run by a cache:

    health = cache.run(probe_health(cache))                                 # not billed
    overview = cache.run(read_overview(cache, minutes=timedelta(hours=1)))  # or await cache.arun(…)
"""

from __future__ import annotations

from continuum_upstash.health.overview import Overview, read_overview
from continuum_upstash.health.probe import Health, probe_health

__all__ = ["Health", "Overview", "probe_health", "read_overview"]
