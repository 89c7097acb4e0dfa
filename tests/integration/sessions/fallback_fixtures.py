"""Outages for sites whose sessions fall back to a table: fixtures of test_session_fallback*.py."""

from __future__ import annotations

import pytest
from django.core.cache import caches

from continuum_upstash.sessions.fallback import fallback_sessions


@pytest.fixture
def on_the_database(site, settings):
    settings.SESSION_FALLBACK_ENGINE = "django.contrib.sessions.backends.db"


@pytest.fixture
def outage(emulator):
    """Return a function whose block has no session database; after it there is one again."""
    return lambda: Outage(emulator)


class Outage:
    def __init__(self, emulator):
        self._fault = emulator.fault("refuse", side="both")

    def __enter__(self):
        self._fault.__enter__()

    def __exit__(self, *exc_info):
        self._fault.__exit__(*exc_info)
        caches["sessions"].database.standby.breaker.reset()


@pytest.fixture
def member(visitor):
    browser = visitor()
    browser.get("login")
    browser.put(theme="dark")
    return browser


def whoami(browser):
    response = browser.get("whoami")
    assert response.status_code == 200
    return response.content.decode()


def another_process():
    """Forget what this process knows of the rows."""
    fallback_sessions._watches.clear()


__all__ = ["member", "on_the_database", "outage"]
