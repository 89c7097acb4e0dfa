"""Settings for the tests of django-tasks-db; the Redis database comes from the environment."""

from __future__ import annotations

import json
import os

SECRET_KEY = "only-for-tests"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "continuum_upstash",
    "django_tasks_db",
    "tests",
]
DATABASES = {
    "default": {  # a file, since some tests refuse a database in memory
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "db.sqlite3",
        "TEST": {"NAME": "test.sqlite3"},
    }
}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "federation": json.loads(os.environ["SUITE_CACHE"]),
}
CONTINUUM_STATS = {"SHARED": False}
TASKS = {
    "default": {
        "BACKEND": "django_tasks_db.DatabaseBackend",
        "QUEUES": ["default", "queue-1"],
    }
}
LOGGING = {
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "loggers": {
        name: {"handlers": ["out"] if "IN_TEST" in os.environ else [], "level": "DEBUG"}
        for name in ("django.tasks", "django_tasks")
    },
}
