"""Settings of worker processes; the database comes from the environment."""

from __future__ import annotations

import json
import os

SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["continuum_upstash"]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "federation": json.loads(os.environ.get("WORKER_CACHE", "{}")),
}
CONTINUUM_STATS = {"SHARED": False}
TASKS = {"default": {"BACKEND": "continuum_upstash.federation.tasks.UpstashTasks"}}
CONTINUUM_FEDERATION = {
    "HANDLERS": {"*": "tests.integration.federation.worker_handlers.run"},
}
