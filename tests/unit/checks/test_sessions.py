"""What the checks find in the settings of sessions."""

from __future__ import annotations

import pytest

from continuum_upstash.checks.caches import check_caches
from continuum_upstash.checks.sessions import check_session_middleware, check_sessions
from continuum_upstash.sessions import SessionStore as UpstashSessionStore
from tests.unit.checks.cache_entries import get_ids, make_entry


def reject_unnamespaced(key, prefix, version):
    if "/" not in key:
        raise ValueError("keys are namespace/name")
    return f"{prefix}:{version}:{key}"


@pytest.mark.parametrize(
    ("engine", "alias", "caches", "expected"),
    [
        ("continuum_upstash.sessions", "default", {"default": make_entry()}, []),
        ("continuum_upstash.sessions", "gone", {"default": make_entry()}, ["E005"]),
        (
            "continuum_upstash.sessions",
            "s",
            {"default": make_entry(), "s": make_entry(KEY_PREFIX="s")},
            ["W016"],
        ),
        (
            "continuum_upstash.sessions",
            "s",
            {
                "default": make_entry("https://db.upstash.io"),
                "s": make_entry("rediss://db.upstash.io/0"),
            },
            ["W003", "W016"],
        ),
        (
            "continuum_upstash.sessions",
            "default",
            {
                "default": make_entry(
                    KEY_PREFIX="shop", KEY_FUNCTION=lambda key, prefix, _: prefix + key
                )
            },
            [],
        ),
        (
            "continuum_upstash.sessions",
            "s",
            {
                "default": make_entry(KEY_FUNCTION=reject_unnamespaced),
                "s": make_entry(KEY_PREFIX="s", KEY_FUNCTION=reject_unnamespaced),
            },
            ["W016"],
        ),
        (
            "tests.integration.sessions.derived_sessions",
            "default",
            {"default": make_entry(), "other": make_entry(KEY_PREFIX="other")},
            ["W016"],
        ),
        ("django.contrib.sessions.backends.cache", "default", {"default": make_entry()}, ["W013"]),
        (
            "django.contrib.sessions.backends.cached_db",
            "default",
            {"default": make_entry(OPTIONS={"FALLBACK": False})},
            [],
        ),
    ],
)
def test_session_settings(engine, alias, caches, expected, settings):
    settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = engine, alias
    settings.CACHES = caches
    assert get_ids([*check_caches(), *check_sessions()]) == expected


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ("django.contrib.sessions.middleware.SessionMiddleware", ["W018"]),
        ("continuum_upstash.sessions.middleware.SessionMiddleware", []),
    ],
)
def test_session_middleware_in_production(middleware, expected, settings):
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    settings.MIDDLEWARE = [middleware]
    assert get_ids(check_session_middleware()) == expected


class SessionStore(UpstashSessionStore):
    """This module is an engine derived from the package's."""


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("django.contrib.sessions.backends.db", ["E008"]),
        ("continuum_upstash.sessions", []),
        (__name__, []),
        ("nowhere", ["E008"]),
    ],
)
def test_the_session_middleware_requires_the_session_engine(engine, expected, settings):
    settings.SESSION_ENGINE = engine
    settings.MIDDLEWARE = ["continuum_upstash.sessions.middleware.SessionMiddleware"]
    assert get_ids(check_sessions()) == expected
    settings.MIDDLEWARE = []
    assert check_sessions() == []
