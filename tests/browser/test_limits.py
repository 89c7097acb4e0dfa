"""The rate limits page of the example site, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.project.demo_process import start_demo


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with start_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running.url


def test_the_headers_are_shown_and_the_limits_are_independent(chromium, site):
    page = chromium.new_page()
    page.goto(f"{site}limits/")
    response, api, search = (
        page.locator(selector)
        for selector in ("#response", "[data-policy=api]", "[data-policy=search]")
    )
    for remaining in (9, 8):
        page.get_by_role("link", name="Call the API").click()
        expect(api).to_have_text(re.compile(rf"^{remaining} of 10, more in \d+ s$"))
    expect(response).to_contain_text('RateLimit-Policy: "api";q=10;w=60')
    while "0 of 3" not in search.text_content():
        with page.expect_response("**/limits/search/"):
            page.get_by_role("link", name="Search").click()
    page.get_by_role("link", name="Search").click()
    expect(response).to_contain_text(
        re.compile(r"^429 Too Many Requests\nRateLimit: \"search\";r=0")
    )
    expect(response).to_contain_text("Retry-After: ")
    expect(api).to_contain_text("8 of 10")
    expect(search).to_have_text(re.compile("more available now"), timeout=20_000)
    page.close()
