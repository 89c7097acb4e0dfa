"""A site whose only page sets and gets five keys. BENCHMARK_CACHES has its CACHES, as JSON.

uvicorn benchmarks.sites.site:asgi
gunicorn benchmarks.sites.site:wsgi
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import django
from django.conf import settings
from django.core.cache import cache
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path

TEXT = "x" * 100


async def serve_async(_request):
    for number in range(5):
        await cache.aset(f"key:{number}", TEXT)
        if await cache.aget(f"key:{number}") != TEXT:
            return respond("wrong value", status=500)
    return respond(TEXT)


def serve(_request):
    for number in range(5):
        cache.set(f"key:{number}", TEXT)
        if cache.get(f"key:{number}") != TEXT:
            return respond("wrong value", status=500)
    return respond(TEXT)


def report_usage(_request):
    """Return the process's CPU time in seconds and its memory in MB."""
    with Path("/proc/self/statm").open() as statm:
        pages = int(statm.read().split()[1])
    usage = {"cpu": time.process_time(), "memory": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}
    return respond(json.dumps(usage))


def respond(text, status=200):
    # Without middleware, Django does not state the length.
    return HttpResponse(text, status=status, headers={"Content-Length": str(len(text))})


settings.configure(
    SECRET_KEY="only-for-benchmarks",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    CACHES=json.loads(os.environ["BENCHMARK_CACHES"]),
)
django.setup()
urlpatterns = [path("async", serve_async), path("sync", serve), path("usage", report_usage)]
asgi, wsgi = ASGIHandler(), WSGIHandler()
