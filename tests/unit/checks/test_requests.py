"""What the checks say of the way of a request: URLs and middleware."""

from __future__ import annotations

import re

import pytest
from django.urls import include, path

from continuum_upstash.checks.caches import check_configuration, check_deployment
from continuum_upstash.sessions import SessionStore as OurStore

urlpatterns = [path("health/", include("continuum_upstash.urls"))]


@pytest.fixture(autouse=True)
def plain(settings):
    """Settings that no check objects to."""
    settings.CACHES = {
        "default": {
            "BACKEND": "continuum_upstash.backend.CacheBackend",
            "LOCATION": "https://db.upstash.io",
            "OPTIONS": {"TOKEN": lambda: "secret-token"},
        }
    }
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    settings.DEBUG = False


def numbers(found):
    return [each.id.removeprefix("continuum_upstash.") for each in found]


@pytest.mark.parametrize(
    ("urlconf", "redirect", "exempt", "paths"),
    [
        (__name__, True, [], ["health/live/", "health/ready/"]),
        (__name__, True, [r"^health/ready"], ["health/live/"]),
        (__name__, True, [r"^/health/"], ["health/live/", "health/ready/"]),
        (__name__, True, [r"^health/"], []),
        (__name__, False, [], []),
        ("tests.integration.panel.panel_site", True, [], []),
    ],
)
def test_a_probe_that_is_redirected_proves_nothing(urlconf, redirect, exempt, paths, settings):
    settings.ROOT_URLCONF = urlconf
    settings.SECURE_SSL_REDIRECT, settings.SECURE_REDIRECT_EXEMPT = redirect, exempt
    found = [each for each in check_deployment() if each.id == "continuum_upstash.W021"]
    assert [re.search(r"health/\w+/", each.msg)[0] for each in found] == paths


class SessionStore(OurStore):
    """This module is an engine, made from ours."""


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("django.contrib.sessions.backends.db", ["E008"]),
        ("continuum_upstash.sessions", []),
        (__name__, []),
        ("nowhere", ["E008"]),
    ],
)
def test_our_middleware_needs_our_engine(engine, expected, settings):
    settings.SESSION_ENGINE = engine
    settings.MIDDLEWARE = ["continuum_upstash.sessions.middleware.SessionMiddleware"]
    assert numbers(check_configuration()) == expected
    settings.MIDDLEWARE = []
    assert check_configuration() == []


def test_a_site_without_urls_has_no_probes(settings):
    settings.SECURE_SSL_REDIRECT = True
    assert numbers(check_deployment()) == ["I030"]
