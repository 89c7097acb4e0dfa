"""Measures cold starts: import, first GET and memory, each client in a new interpreter, in turns.

The statement after "T;" is timed: what comes before is loaded in every site. Then the client makes
its first GET, and ten SETs and GETs of 1 MB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.clients.baselines import TOKEN
from benchmarks.report.progress import Progress
from benchmarks.report.summary import Column, Report
from benchmarks.runner import Effort
from benchmarks.servers import Servers, make_pinned_command

NAME, TITLE = "cold", "Cold start and memory, a new process"
IMPORT, FIRST_GET = "import, CPU ms", "import and first GET, CPU ms"
ELAPSED, MEMORY, PEAK = "elapsed, ms", "memory, MB", "peak with 1 MB values, MB"
COLUMNS = tuple(map(Column, (IMPORT, FIRST_GET, ELAPSED, MEMORY, PEAK)))

DJANGO = (
    "from django.conf import settings; settings.configure(SECRET_KEY='only-for-benchmarks'); "
    "import django.core.handlers.wsgi, django.db, django.template, django.core.cache; T; "
)
STARTS = {
    "**UpstashCache**, REST": (
        "T; from continuum_upstash import UpstashCache; "
        "cache = UpstashCache(rest_url={https!r}, rest_token={token!r}, ca_file={ca_file!r})"
    ),
    "upstash-redis, REST": (
        "import os; os.environ['SSL_CERT_FILE'] = {ca_file!r}; T; from upstash_redis import Redis; "
        "cache = Redis({https!r}, {token!r}, allow_telemetry=False)"
    ),
    "redis-py, TCP": "T; import redis; cache = redis.Redis.from_url({redis!r})",
    "**CacheBackend**, REST, in Django": (
        DJANGO + "from continuum_upstash.backend import CacheBackend; "
        "cache = CacheBackend({https!r}, "
        "{{'OPTIONS': {{'TOKEN': {token!r}, 'CA_FILE': {ca_file!r}}}}})"
    ),
}
BACKENDS = {
    "**CacheBackend**, TCP, in Django": "continuum_upstash.backend.CacheBackend",
    "django-redis, TCP, in Django": "django_redis.cache.RedisCache",
    "Django RedisCache, TCP, in Django": "django.core.cache.backends.redis.RedisCache",
    "django-valkey, TCP, in Django": "django_valkey.cache.ValkeyCache",
    "django-vcache, TCP, in Django": "django_vcache.backend.ValkeyCache",
}
for _label, _path in BACKENDS.items():
    _module, _, _name = _path.rpartition(".")
    STARTS[_label] = (
        DJANGO + f"from {_module} import {_name}; cache = {_name}({{redis!r}}, {{{{}}}})"
    )

SCRIPT = """
import time

{setup}

def read_memory(field):
    with open("/proc/self/status") as status:
        return int(status.read().partition(field + ":")[2].split()[0]) / 1024

cpu, started = time.process_time(), time.perf_counter()
{start}
imported = time.process_time()
cache.get("missing")
read, elapsed = time.process_time(), time.perf_counter() - started
memory = read_memory("VmRSS")
for _ in range(10):
    cache.set("large", "x" * 1_000_000)
    cache.get("large")
milliseconds = (1e3 * (imported - cpu), 1e3 * (read - cpu), 1e3 * elapsed)
print("MEASURED", *milliseconds, memory, read_memory("VmHWM"))
"""


def measure(servers: Servers, effort: Effort, progress: Progress) -> Report:
    """
    Raises:
        SystemExit: a client of this package failed.
    """
    report = Report(
        name=NAME,
        title=TITLE,
        corner="client",
        columns=COLUMNS,
        labels=tuple(STARTS),
        samples={column.title: {label: [] for label in STARTS} for column in COLUMNS},
        plotted=(FIRST_GET,),
    )
    started = time.monotonic()
    for label, statement in STARTS.items():  # writes the bytecode
        progress.show(f"{NAME}: first start of {label}")
        _start(report, label, statement, servers)
    for number in effort.iterate_rounds(started):
        for label in (each for each in STARTS if each not in report.skipped):
            progress.show(f"{NAME}: round {number} of {effort.rounds}, {label}")
            figures = _start(report, label, STARTS[label], servers)
            for column, figure in zip(COLUMNS, figures, strict=False):  # none if it failed
                report.samples[column.title][label].append(figure)
    return report


def _start(report: Report, label: str, statement: str, servers: Servers) -> list[float]:
    """Return the figures of one start; note in the report why a client does not start."""
    values = {"https": servers.https, "redis": servers.redis, "ca_file": servers.ca_file}
    setup, _, start = statement.format(**values, token=TOKEN).partition("T; ")
    script = SCRIPT.format(setup=setup, start=start)
    command = make_pinned_command(0, sys.executable, "-c", script)
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    if run.returncode:
        reason = run.stderr.strip().rpartition("\n")[2]
        if label.startswith("**"):
            sys.exit(f"{label}: {reason}")
        report.skipped[label] = reason
        return []
    return [float(figure) for figure in run.stdout.partition("MEASURED")[2].split()]
