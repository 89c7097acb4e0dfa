"""Steps 5 and 6: what the caches did, and what a month of it costs."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache

from continuum_upstash import UpstashCache
from continuum_upstash.health import probe_health
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.pricing import PRICING_PLANS, Terms, Use
from example_project.guide.outcome import require

CALLS_PER_USER = 30 * 50  # a month of 50 billed commands a day
USERS = (100, 1_000, 10_000)


def read_statistics(prefix: str) -> dict[str, Any]:
    """Read hit rate, latency and memory: of this process, of all processes, of the database."""
    before = read_process_totals("default")
    cache.set(f"{prefix}figure", 42, 60)
    cache.get(f"{prefix}figure")
    cache.get(f"{prefix}missing")
    cache.delete(f"{prefix}figure")
    totals = read_process_totals("default") - before
    median = totals.estimate_quantile(0.5) or 0
    health = cache.run(probe_health(cache))  # not billed
    with UpstashCache(name="guide") as client:
        # What all processes of a site have counted. A client without Django uses the full keys.
        names = [cache.make_key(f"stats:cache_{each}") for each in ("hits", "misses")]
        found = client.get_many(names)
        hits, misses = (found.get(name, 0) for name in names)
        info = client.info()  # not billed
    require(totals.hit_rate == 0.5, "one of two reads must find a value")
    return {
        "verdict": health.verdict,
        "billed commands": totals.billed,
        "hit rate": totals.hit_rate,
        "median latency in ms": round(median * 1000, 2),
        "hit rate of all processes": hits / (hits + misses) if hits + misses else None,
        "keys": info["keys"],
        "memory": info["used_memory_human"],
        "eviction": info["maxmemory_policy"],
    }


def estimate_cost(prefix: str) -> dict[str, Any]:
    """Compute the dollars of a month by the number of users, on the cheapest sufficient plan."""
    return {f"{users:,} users": _find_cheapest(users * CALLS_PER_USER) for users in USERS}


def _find_cheapest(commands: int) -> str:
    use = Use(commands)
    dollars = {
        name: sum(plan.list_prices(use, Terms()).values())
        for name, plan in PRICING_PLANS.items()
        if not plan.list_exceeded(use)
    }
    name = min(dollars, key=lambda each: dollars[each])
    return f"{commands:,} commands, ${dollars[name]:.2f} on the plan {name}"
