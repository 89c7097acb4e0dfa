"""A site without a relational database: values, sessions and rate limits are in Upstash Redis.

All that differs between platforms comes from the environment; see README.md in this folder.
"""

from __future__ import annotations

import os


def split_list(variable: str, default: str = "") -> list[str]:
    return [item.strip() for item in os.environ.get(variable, default).split(",") if item.strip()]


# Vercel and container builds import the settings without secrets. Django raises
# ImproperlyConfigured when the key is used and empty.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "")
DEBUG = False
ALLOWED_HOSTS = split_list("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = split_list("DJANGO_CSRF_TRUSTED_ORIGINS")
# Set DJANGO_HTTPS=1 behind a proxy that terminates TLS and sets X-Forwarded-Proto.
if os.environ.get("DJANGO_HTTPS") == "1":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

SESSIONS_HAVE_A_DATABASE = any(
    os.environ.get(f"SESSIONS_{name}{suffix}")
    for name in ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_URL", "KV_REST_API_URL", "KV_URL")
    for suffix in ("", "_FILE")
)
CACHES = {
    "default": {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "KEY_PREFIX": "mysite",
        "OPTIONS": {"TTL_BY_PREFIX": {"query:": 300}},
    },
    # JSON text under keys such as shared:1:greeting, which programs in other languages read.
    "shared": {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "KEY_PREFIX": "shared",
        "OPTIONS": {"SERIALIZER": "json"},
    },
    # A second database, without eviction, when the variables with the prefix are set.
    "sessions": {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "KEY_PREFIX": "mysite-sessions",
        "OPTIONS": {"ENV_PREFIX": "SESSIONS_"} if SESSIONS_HAVE_A_DATABASE else {},
    },
}
SESSION_ENGINE = "continuum_upstash.sessions"
SESSION_CACHE_ALIAS = "sessions"
CONTINUUM_RATELIMIT = {
    "ALIAS": "sessions",
    "POLICIES": {
        "api": {"rate": "10/m", "key": "ip"},
        # Shared with Ratelimit.slidingWindow(10, "1 m") of the npm package @upstash/ratelimit.
        "shared": {
            "rate": "10/m",
            "key": "ip",
            "algorithm": "sliding",
            "upstash_prefix": "shared-limit",
        },
    },
}
# The number of proxies in front of the server; without it, every client has the proxy's address.
if proxies := os.environ.get("TRUSTED_PROXIES"):
    CONTINUUM_RATELIMIT["TRUSTED_PROXIES"] = int(proxies)
if header := os.environ.get("PROXY_HEADER"):
    CONTINUUM_RATELIMIT["PROXY_HEADER"] = header

INSTALLED_APPS = ["continuum_upstash", "mysite"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "continuum_upstash.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
ASGI_APPLICATION = "mysite.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
