"""A site with live pages and a page with the React hook of @upstash/realtime.

    python -m tests.browser.live_site PORT FOLDER

The environment configures the database. FOLDER contains the bundle of the hook, ``hook.js``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import include, path

PAGE = '<!doctype html><title>Hook</title><div id="root"></div><script src="/hook.js"></script>'


def show(request):
    return HttpResponse(PAGE)


def send_script(request):
    script = Path(sys.argv[2], "hook.js").read_bytes()
    return HttpResponse(script, content_type="text/javascript")


urlpatterns = [
    path("api/", include("continuum_upstash.federation.urls")),
    path("hook.js", send_script),
    path("", show),
]


def main():
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        CACHES={
            "default": {"BACKEND": "continuum_upstash.backend.CacheBackend"},
            "federation": {"BACKEND": "continuum_upstash.backend.CacheBackend"},
        },
        CONTINUUM_LIVE={"CHANNELS": ["room", "room 2"]},
        INSTALLED_APPS=["continuum_upstash"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only-for-tests",
    )
    uvicorn.run(
        get_asgi_application(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        lifespan="off",
        log_level="critical",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
