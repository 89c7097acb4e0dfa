"""The built-in pages of refused requests: language, direction and nothing that a policy forbids."""

from __future__ import annotations

import re

import pytest
from django.test import RequestFactory
from django.utils import translation

from continuum_upstash.error_page import render_refused_page, render_session_page

LOCALE = "django.middleware.locale.LocaleMiddleware"


def make_request(language="en"):
    return RequestFactory().get("/", headers={"Accept-Language": language})


@pytest.fixture(params=["refused", "unavailable", "session"])
def render(request):
    """Return a function that renders one of the pages."""

    def render_page(made, seconds=5):
        if request.param == "session":
            return render_session_page(made, seconds)
        return render_refused_page(made, seconds, is_unavailable=request.param == "unavailable")

    return render_page


def test_a_page_contains_nothing_that_a_strict_policy_forbids(render):
    page = render(make_request())
    assert not re.search(r"<(style|script|link)|style=| on\w+=|https?:|src=|url\(", page)
    assert '<html lang="en' in page
    assert '<meta name="color-scheme" content="light dark">' in page


@pytest.mark.parametrize(("language", "direction"), [("de", "ltr"), ("ar", "rtl")])
def test_a_page_has_the_direction_of_the_active_language(render, language, direction):
    with translation.override(language):
        assert f'<html lang="{language}" dir="{direction}">' in render(make_request())


def test_a_page_has_the_language_of_the_request_before_it_is_activated(render, settings):
    settings.MIDDLEWARE = [LOCALE]
    assert '<html lang="fr" dir="ltr">' in render(make_request("fr"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "in 1 second."), (90, "in 90 seconds."), (121, "in 3 minutes."), (3600, "in 60 minutes.")],
)
def test_the_time_to_wait_has_a_readable_unit(seconds, text):
    assert text in render_refused_page(make_request(), seconds, is_unavailable=False)
