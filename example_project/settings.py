"""Settings of the example site; those of continuum-upstash come first."""

from __future__ import annotations

import os
from importlib.util import find_spec

from example_project.budget import read_budget
from example_project.data_folder import DATA_FOLDER, load_or_create_secret

# The credentials are read from the environment: see docs/reference/environment.md.
CACHES = {
    "default": {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "KEY_PREFIX": "demo",
        "OPTIONS": {"TTL_BY_PREFIX": {"query:": 300}},
    },
}

SESSION_ENGINE = "continuum_upstash.sessions"
if "SESSIONS_UPSTASH_REDIS_URL" in os.environ:
    # Sessions have their own connection: staff can log in while the cache's connection is down.
    CACHES["sessions"] = {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "KEY_PREFIX": "demo",
        "OPTIONS": {"ENV_PREFIX": "SESSIONS_"},
    }
    SESSION_CACHE_ALIAS = "sessions"
# Without a database, sessions end with the process, which is acceptable for a demo.
SESSION_ALLOW_EVICTION = os.environ.get("CONTINUUM_CACHE_MODE") == "local"

# Channels and tasks have their own connection, too. These channels may be read by everyone.
CACHES["federation"] = {
    "BACKEND": "continuum_upstash.backend.CacheBackend",
    "OPTIONS": (
        {"ENV_PREFIX": "FEDERATION_"} if "FEDERATION_UPSTASH_REDIS_URL" in os.environ else {}
    ),
}
CONTINUUM_LIVE = {"CHANNELS": ["demo:live", "demo:reports"]}

# Django 5.2 has the Tasks framework only with the package django-tasks.
HAS_TASKS = any(map(find_spec, ("django.tasks", "django_tasks")))
if HAS_TASKS:
    TASKS = {"default": {"BACKEND": "continuum_upstash.federation.tasks.UpstashTasks"}}

# The rollout page moves keys from "classic" to "default". In a demo both are in one database.
CACHES["classic"] = {
    "BACKEND": "continuum_upstash.backend.CacheBackend",
    "KEY_PREFIX": "demo-classic",
}
CACHES["moving"] = {
    "BACKEND": "continuum_upstash.migration.MigratingCache",
    "OPTIONS": {"OLD": "classic", "NEW": "default", "PHASE": "shadow", "ROLLOUT_INTERVAL": 2},
}

CONTINUUM_RATELIMIT = {
    "POLICIES": {
        "api": {"rate": "10/m", "key": "ip"},
        "search": {"rate": "3/10s", "key": "ip"},
    },
}

# The budget of the cost page; the other caches of the database go on when it is used up.
CACHES["budget"] = {
    "BACKEND": "continuum_upstash.backend.CacheBackend",
    "KEY_PREFIX": "budget",
    "OPTIONS": {"BUDGET": {"COMMANDS": read_budget}},
}
SILENCED_SYSTEM_CHECKS = ["continuum_upstash.W027"]

# The cost page: the emulator's account has this plan, and round trips are examined for savings.
CONTINUUM_STATS = {"PLAN": "payg", "SAMPLE": 5, "INTERVAL": 2.0}

DEBUG = True  # a demo: listens on this machine only, and Django serves the static files
SECRET_KEY = load_or_create_secret("secret_key")

INSTALLED_APPS = [
    "example_project",
    "continuum_upstash",
    "continuum_upstash.panel",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "example_project.live_events.announce_visits",
    "example_project.middleware.measure_cache_usage",
    "continuum_upstash.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example_project.urls"
ASGI_APPLICATION = "example_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_FOLDER / "db.sqlite3"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
TIME_ZONE = "UTC"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
