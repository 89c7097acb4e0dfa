"""The check of the health endpoints."""

from __future__ import annotations

import re

import pytest
from django.urls import include, path

from continuum_upstash.checks.probes import check_probes

urlpatterns = [path("health/", include("continuum_upstash.urls"))]


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
def test_redirected_probes_are_reported(urlconf, redirect, exempt, paths, settings):
    settings.ROOT_URLCONF = urlconf
    settings.SECURE_SSL_REDIRECT, settings.SECURE_REDIRECT_EXEMPT = redirect, exempt
    found = check_probes()
    assert {each.id for each in found} <= {"continuum_upstash.W021"}
    assert [re.search(r"health/\w+/", each.msg)[0] for each in found] == paths


def test_a_site_without_a_urlconf_has_no_probes(settings):
    settings.SECURE_SSL_REDIRECT = True
    assert check_probes() == []
