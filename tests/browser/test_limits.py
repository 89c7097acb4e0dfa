"""The example site's page of limits, as somebody sees it who clicks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.demos import demo


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with demo(tmp_path_factory.mktemp("demo")) as running:
        yield running.url


def test_the_headers_are_shown_live_and_one_limit_leaves_the_other_alone(chromium, site):
    page = chromium.new_page()
    page.goto(f"{site}limits/")
    search = page.get_by_role("link", name="Search")
    answer, remains = page.locator("#answer"), page.locator("[data-policy=search]")
    for left in (2, 1, 0):
        search.click()
        expect(remains).to_have_text(re.compile(rf"^{left} of 3, more in \d+ s$"))
        expect(answer).to_contain_text("200 OK")
    search.click()
    expect(answer).to_contain_text(re.compile(r"^429 Too Many Requests\nRateLimit: \"search\";r=0"))
    expect(answer).to_contain_text("Retry-After: ")
    page.get_by_role("link", name="Ask the API").click()
    expect(answer).to_contain_text('RateLimit-Policy: "api";q=10;w=60')
    expect(page.locator("[data-policy=api]")).to_contain_text("9 of 10")
    expect(remains).to_have_text(re.compile("more by now"), timeout=20_000)
    page.close()
