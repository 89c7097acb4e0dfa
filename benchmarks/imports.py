"""What an import costs a cold start: fresh interpreters in turn, medians."""

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
        "import continuum_upstash.transports.rest"
    ),
    "upstash_redis": "import upstash_redis",
    "redis": "import redis",
    "**CacheBackend**, REST, in Django": (
        DJANGO + "T; import continuum_upstash.backend, continuum_upstash.transports.rest"
    ),
    "django_redis, in Django": DJANGO + "T; import django_redis.cache, django_redis.client",
    "upstash_redis, in Django": DJANGO + "T; import upstash_redis",
}
CLOCK = "import time; T0 = time.perf_counter(); "


def milliseconds(statement: str) -> float:
    """Return the wall time of a statement in a fresh interpreter; what is before "T;" is free."""
    before, _, timed = statement.rpartition("T; ")
    script = f"{before}{CLOCK}{timed}; print((time.perf_counter() - T0) * 1000)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(run.stdout)


def report(rounds: int) -> str:
    figures = {label: [] for label in IMPORTS}
    for _ in range(rounds):
        for label, statement in IMPORTS.items():
            figures[label].append(milliseconds(statement))
    rows = [f"| {label} | {median(figures[label]):.0f} |" for label in IMPORTS]
    return "\n".join(["### Imports", "", "| import | ms |", "|---|---:|", *rows, ""])
