"""Settings of the guide: four caches, whose credentials are read from the environment."""

from __future__ import annotations

import os
import secrets

BACKEND = "continuum_upstash.backend.CacheBackend"
# A database of its own for queues and channels, if the environment has one.
OWN = any(name.startswith("FEDERATION_UPSTASH_") for name in os.environ)

CACHES = {
    "default": {"BACKEND": BACKEND, "KEY_PREFIX": "guide"},
    "federation": {
        "BACKEND": BACKEND,
        "OPTIONS": {"ENV_PREFIX": "FEDERATION_"} if OWN else {},
    },
    # The step "migration" moves values from "classic" to "default".
    "classic": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["CLASSIC_REDIS_URL"],
            "KEY_PREFIX": "guide-classic",
        }
        if os.environ.get("CLASSIC_REDIS_URL")
        else {"BACKEND": BACKEND, "KEY_PREFIX": "guide-classic"}
    ),
    "moving": {
        "BACKEND": "continuum_upstash.migration.MigratingCache",
        "OPTIONS": {"OLD": "classic", "NEW": "default", "ROLLOUT_SHARED": False},
    },
}

INSTALLED_APPS = ["continuum_upstash"]  # counts the commands of this process
CONTINUUM_STATS = {"SHARED": False}  # the prices of the steps do not contain those of statistics
SECRET_KEY = secrets.token_urlsafe()
USE_TZ = True
