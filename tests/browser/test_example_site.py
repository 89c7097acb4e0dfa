"""The pages of the example site in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.panel_pages import find_violations, needs_axe
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
    expect(page.locator("footer")).to_contain_text("sent to Redis")
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


@needs_axe
@pytest.mark.parametrize(
    ("scheme", "width", "scripts"), [("light", 1100, False), ("dark", 390, True)]
)
def test_the_slider_selects_the_share_of_the_keys(chromium, site, scheme, width, scripts):
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, java_script_enabled=scripts
    )
    page = context.new_page()
    page.goto(f"{site}rollout/")
    page.get_by_role("button", name="Store all").click()
    slider, share = page.get_by_role("slider"), page.locator("#share")
    slider.focus()
    page.keyboard.press("End")
    for _ in range(63):
        page.keyboard.press("ArrowLeft")
    if scripts:
        expect(share).to_have_text("37")
    page.get_by_label("canary").check()
    page.get_by_role("button", name="Apply").click()
    expect(share).to_have_text("37")
    expect(page.get_by_role("heading", level=2)).to_have_text(re.compile("^39 of 100 keys"))
    assert page.locator(".keys .new").count() == 39
    page.get_by_role("button", name="Read all").click()
    expect(page.locator(".facts dd")).to_have_text(["100", "39"])
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator(".facts dd")).to_have_text(["0", "0"])
    if scripts:
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
        assert find_violations(page) == []
    context.close()


# No page needs inline scripts, inline styles or another server.
POLICY = "default-src 'self'"


def add_policy(route):
    """Add the policy to a page; an event stream, which does not end, is not read."""
    if route.request.resource_type != "document":
        route.continue_()
        return
    response = route.fetch()
    headers = response.headers | {"Content-Security-Policy": POLICY}
    route.fulfill(response=response, headers=headers)


@needs_axe
def test_each_page_is_accessible_and_keeps_the_policy(chromium, site):
    context = chromium.new_context(
        base_url=site, color_scheme="dark", viewport={"width": 390, "height": 844}
    )
    context.route("**/*", add_policy)
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto("")
    links = page.locator("nav a").evaluate_all("all => all.map(link => link.pathname)")
    paths = [path for path in links if not path.startswith("/admin/")]
    assert len(paths) == 13
    for path in (*paths, "/admin/login/"):
        assert page.goto(path).status == 200
        assert find_violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, path
        assert problems == [], path
    context.close()
