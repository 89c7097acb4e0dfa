"""Settings and an environment without findings, for each test of the checks."""

from __future__ import annotations

import os

import pytest
from django.test import override_settings

from tests.unit.checks.cache_entries import make_entry


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    prefixes = ("UPSTASH", "KV_", "REDIS_URL", "CONTINUUM", "VERCEL", "AWS_")
    proxies = ("_proxy", "_PROXY")
    for name in [*os.environ]:
        if not name.startswith(prefixes) and not name.endswith(proxies):
            continue
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def clean_settings():
    with override_settings(
        CACHES={"default": make_entry()},
        SESSION_ENGINE="django.contrib.sessions.backends.db",
        DEBUG=False,
    ):
        yield
