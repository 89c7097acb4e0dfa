"""A site under gunicorn, whose workers can be killed."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

SITE = """
import os
from django.conf import settings
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend"}},
    INSTALLED_APPS=["continuum_upstash"], ALLOWED_HOSTS=["*"], ROOT_URLCONF="site_of_test",
    CONTINUUM_STATS=%r, SECRET_KEY="s",
)
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path

def use(request):
    cache.set("k", 1)
    cache.get("k")
    return HttpResponse(str(os.getpid()))

urlpatterns = [path("use/", use), path("", include("continuum_upstash.urls"))]
application = get_wsgi_application()
"""


def fetch(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@contextmanager
def gunicorn(folder, emulator, **stats):
    """Run four workers; yield their port."""
    (folder / "site_of_test.py").write_text(SITE % stats)
    (folder / "metrics").mkdir()
    environ = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "PYTHONPATH": f"{folder}:{Path(__file__).parents[3]}",
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    process = subprocess.Popen(
        # A worker that is just starting may ignore SIGTERM; gunicorn would wait for it for 30 s.
        [
            *(sys.executable, "-m", "gunicorn", "--workers=4", "--graceful-timeout=5"),
            *("--bind=127.0.0.1:0", "site_of_test"),
        ],
        env=environ, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                break
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=20)


def use(port):
    """Request the site until two workers have responded; return their ids and the request count."""
    workers, requests, until = set(), 0, monotonic() + 30
    while len(workers) < 2 and monotonic() < until:
        workers.add(int(fetch(port, "/use/")))
        requests += 1
    assert len(workers) >= 2
    return workers, requests


def kill(worker):
    os.kill(worker, signal.SIGKILL)
    until = monotonic() + 30
    while Path(f"/proc/{worker}").exists() and monotonic() < until:
        sleep(0.01)
