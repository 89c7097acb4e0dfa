"""Measures what imports add to a cold start: each in a new interpreter, in turns; medians."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

DJANGO = "import django.core.handlers.wsgi, django.db, django.template, django.core.cache; "
IMPORTS = {
    "**continuum_upstash**": "import continuum_upstash",
    "**UpstashCache**, REST": (
        "from continuum_upstash import UpstashCache; "
        "UpstashCache(rest_url='https://x', rest_token='x').close(); "
        "import continuum_upstash.transports.rest.transport"
    ),
    "upstash_redis": "import upstash_redis",
    "redis": "import redis",
    "**CacheBackend**, REST, in Django": (
        DJANGO + "T; import continuum_upstash.backend, continuum_upstash.transports.rest.transport"
    ),
    "django_redis, in Django": DJANGO + "T; import django_redis.cache, django_redis.client",
    "upstash_redis, in Django": DJANGO + "T; import upstash_redis",
}
START_TIMER = "import time; T0 = time.perf_counter(); "


def measure_once(statement: str) -> float:
    """Return the milliseconds that a statement takes in a new interpreter.

    Only the code after "T;" is timed.
    """
    setup, _, timed = statement.rpartition("T; ")
    script = f"{setup}{START_TIMER}{timed}; print((time.perf_counter() - T0) * 1000)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(run.stdout)


def measure(rounds: int) -> str:
    """Return a Markdown table of all imports."""
    times = {label: [] for label in IMPORTS}
    for _ in range(rounds):
        for label, statement in IMPORTS.items():
            times[label].append(measure_once(statement))
    rows = [f"| {label} | {median(times[label]):.0f} |" for label in IMPORTS]
    return "\n".join(["### Imports", "", "| import | ms |", "|---|---:|", *rows, ""])
