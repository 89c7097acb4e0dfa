"""The panel in a browser: clicks, themes, a phone, and an outage while it is open."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from continuum_upstash import UpstashCache
from tests.browser.panel_pages import PHONE, needs_axe
from tests.browser.panel_seed import write_busy_day


@needs_axe
@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", {"width": 1280, "height": 720}), ("dark", PHONE)],
    ids=["wide-light", "phone-dark"],
)
def test_pages_are_accessible_in_every_theme_and_width(scheme, viewport, visit, server):
    write_busy_day(server)
    panel = visit(color_scheme=scheme, viewport=viewport)
    name = f"{viewport['width']}-{scheme}"
    for title, open_page in {
        "list": panel.open_list,
        "page": lambda: panel.open("?sample=1").open_details(),
        "confirmation": lambda: panel.open().press("Force open…"),
    }.items():
        open_page()
        panel.save_screenshot(f"{title}-{name}")
        assert panel.find_violations() == []
        assert panel.measure_overflow() == 0
    assert panel.visitor.errors == []


def test_colors_follow_the_theme_and_words_repeat_them(visit):
    colours = set()
    for scheme in ("light", "dark"):
        panel = visit(color_scheme=scheme).open()
        expect(panel.badge).to_contain_text("OK")
        colours.add(panel.badge.evaluate("each => getComputedStyle(each).backgroundColor"))
    assert len(colours) == 2


def test_view_permission_shows_no_buttons(visit):
    panel = visit("viewer").open("?sample=1")
    expect(panel.badge).to_contain_text("OK")
    expect(panel.page.locator(".ch-actions")).to_have_count(0)
    expect(panel.page.get_by_text("Clear…")).to_have_count(0)


def test_each_action_is_run_reported_and_logged_and_harmful_ones_are_confirmed(visit):
    panel = visit().open()
    for button, message, state in (
        ("Probe now", "The database replied in", "The breaker is closed"),
        ("Reconnect", "The database replied in", "The breaker is closed"),
        ("Force open…", "no longer sends commands", "The breaker is forced open"),
        ("Force closed", "sends commands to Upstash again", "The breaker is closed"),
        ("Bypass breaker…", "even during an outage", "The breaker is bypassed"),
    ):
        panel.act(button)
        expect(panel.message).to_contain_text(message)
        expect(panel.state).to_contain_text(state)
    panel.page.get_by_role("link", name="History").click()
    expect(panel.page.locator("#change-history tbody tr")).to_have_count(5)
    assert panel.visitor.errors == []


def test_a_confirmation_that_is_declined_changes_nothing(visit):
    panel = visit().open().press("Force open…")
    panel.page.get_by_role("link", name="No, take me back").click()
    expect(panel.state).to_contain_text("The breaker is closed")


def test_one_of_a_thousand_families_can_be_cleared(visit, server):
    write_busy_day(server, {f"family{number}:": 3 for number in range(1000)} | {"query:": 40})
    panel = visit().open()
    panel.page.get_by_role("button", name="Sample the keys").click()
    expect(panel.page.get_by_text("This cache contains 3,040 keys.")).to_be_visible()
    panel.save_screenshot("thousand-families")
    panel.page.get_by_role("link", name="Clear query:").click()
    expect(panel.page.get_by_text("40 keys will be deleted")).to_be_visible()
    panel.confirm()
    expect(panel.message).to_contain_text("40 keys deleted.")
    with UpstashCache(rest_url=server.rest_url, rest_token=server.token) as cache:
        remaining = cache.keys("shop:1:*")
    assert len(remaining) == 3000


def test_long_names_do_not_widen_the_page(visit, server):
    family = "x" * 90
    write_busy_day(server, {f"{family}:": 3})
    panel = visit(viewport=PHONE).open("?sample=1")
    link = panel.page.get_by_role("link", name=f"Clear {family}:")
    box = link.bounding_box()
    assert box["x"] + box["width"] <= PHONE["width"]
    link.click()
    assert panel.measure_overflow() == 0


def test_a_long_alias_and_large_numbers_do_not_widen_the_page(visit, server):
    write_busy_day(server)
    panel = visit(viewport=PHONE)
    for selector, text in ((".ch-card h2 a", "x" * 120), (".ch-tiles strong bdi", "9" * 60)):
        panel.open_list() if "h2" in selector else panel.open()
        panel.page.locator(selector).first.evaluate(
            "(each, text) => { each.textContent = text; }", text
        )
        assert panel.measure_overflow() == 0
        box = panel.page.locator(selector).first.bounding_box()
        assert box["x"] + box["width"] <= PHONE["width"]


def test_on_a_phone_wide_tables_are_complete(visit, server):
    write_busy_day(server)
    panel = visit(viewport=PHONE).open("?sample=1")
    panel.open_details()
    tables = panel.page.locator(".ch-scroll")
    expect(tables).not_to_have_count(0)
    assert not any(
        tables.evaluate_all("all => all.map(each => each.scrollWidth > each.clientWidth)")
    )


def test_an_outage_is_shown_while_the_page_is_open(visit, server):
    panel = visit().with_clock().open()
    panel.page.evaluate("window.isSamePage = true")
    expect(panel.badge).to_contain_text("OK")
    server.process.kill()
    panel.advance(seconds=10)
    expect(panel.badge).to_contain_text("Degraded")
    expect(panel.state).to_contain_text("Each process uses a local store instead")
    assert panel.page.evaluate("window.isSamePage")  # the page was not reloaded
    panel.open("?sample=1").save_screenshot("service-down")
    expect(panel.page.get_by_text("This process since it started")).to_be_visible()
    assert panel.visitor.errors == []


def test_open_details_stay_open_when_the_figures_are_refreshed(visit, server):
    write_busy_day(server)
    panel = visit().with_clock().open()
    panel.page.get_by_text("Show as a table").first.click()
    with panel.page.expect_response("**/figures/"):
        panel.advance(seconds=60)
    expect(panel.page.locator("#ch-table-hour")).to_have_attribute("open", "")


def test_refreshing_can_be_paused(visit):
    panel = visit().with_clock().open()
    pause = panel.page.get_by_role("button", name="Pause")
    urls = []
    panel.page.on("request", lambda request: urls.append(request.url))
    pause.click()
    expect(panel.page.get_by_text("Paused.")).to_be_visible()
    panel.advance(seconds=120)
    panel.page.get_by_role("button", name="Resume").click()
    expect(pause).to_be_visible()
    expect(panel.page.get_by_text("Paused.")).to_be_hidden()
    with panel.page.expect_response("**/figures/"):
        panel.advance(seconds=10)
    assert len(urls) == 2  # the state and the figures, once


def test_a_failed_refresh_is_shown_and_repeated(visit):
    panel = visit().with_clock().open()
    panel.page.route("**/state/", lambda route: route.abort())
    panel.advance(seconds=10)
    expect(panel.page.get_by_text("The page could not be refreshed")).to_be_visible()
    panel.page.unroute_all()
    panel.advance(seconds=10)
    expect(panel.page.get_by_text("The page could not be refreshed")).to_be_hidden()


def test_it_works_without_javascript(visit, server):
    write_busy_day(server)
    panel = visit(java_script_enabled=False).open("?sample=1")
    expect(panel.badge).to_contain_text("OK")
    expect(panel.page.locator(".ch-chart svg[role=img]")).to_have_count(6)
    expect(panel.page.get_by_role("button", name="Pause")).to_have_count(0)
    panel.press("Force open…").confirm()
    expect(panel.message).to_contain_text("no longer sends commands")


def test_a_logged_out_user_is_redirected_to_the_login(visit):
    panel = visit().with_clock().open()
    panel.visitor.clear_cookies()
    panel.advance(seconds=10)
    panel.page.wait_for_url("**/admin/login/**")
