"""The built-in pages of refused requests in a browser, under a strict Content-Security-Policy."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from django.utils import translation

from continuum_upstash.error_page import render_refused_page, render_session_page
from tests.browser.panel_pages import ARTIFACTS, PHONE, find_violations, needs_axe
from tests.browser.panel_site import POLICY

URL = "http://127.0.0.1/refused/"


def render(name, language):
    request = RequestFactory().get("/")
    with translation.override(language):
        if name == "session":
            return render_session_page(request, 600)
        return render_refused_page(request, 45, is_unavailable=name == "503")


@needs_axe
@pytest.mark.parametrize(
    ("name", "language", "scheme", "viewport"),
    [
        ("429", "en", "light", {"width": 1280, "height": 720}),
        ("429", "de", "dark", PHONE),
        ("503", "ar", "dark", PHONE),
        ("session", "fr", "light", PHONE),
    ],
)
def test_a_page_is_accessible_and_keeps_the_policy(chromium, name, language, scheme, viewport):
    context = chromium.new_context(color_scheme=scheme, viewport=viewport)
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text))
    page.route(
        URL,
        lambda route: route.fulfill(
            body=render(name, language),
            content_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": POLICY},
        ),
    )
    page.goto(URL)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"error-{name}-{language}.png")
    assert find_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert problems == []
    text = page.evaluate("getComputedStyle(document.body).color")
    assert (text == "rgb(255, 255, 255)") is (scheme == "dark")
    context.close()
