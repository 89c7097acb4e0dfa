"""The panel refreshes itself; who reads, tabs or selects in it meanwhile is not disturbed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.panel_seed import a_busy_day

FOCUSED = "document.activeElement.id"


@pytest.fixture
def panel(visit, server):
    a_busy_day(server)
    return visit().with_clock()


def refresh(panel, part="state"):
    with panel.page.expect_response(f"**/{part}/") as answer:
        panel.later(seconds=10 if part == "state" else 60)
    answer.value.finished()
    panel.page.evaluate("new Promise(requestAnimationFrame)")


def mark(panel, part):
    """Let a test tell a part that was swapped from one that was not."""
    panel.page.evaluate("each => document.querySelector(each).marked = true", part)


def swapped(panel, part):
    return panel.page.evaluate("each => !document.querySelector(each).marked", part)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("state", "ch-do-probe"),
        ("state", "ch-changes-summary"),
        ("state", "ch-changes-scroll"),
        ("figures", "ch-table-hour-summary"),
        ("figures", "ch-table-day-scroll"),
    ],
)
def test_the_keyboard_s_focus_stays_where_it_is(part, name, panel):
    panel.open().press("Force open").confirm()
    panel.press("Force closed").confirm()
    panel.unfold()
    panel.page.locator(f"#{name}").focus()
    mark(panel, f"#{name}")
    refresh(panel, part)
    panel.page.wait_for_function("each => !document.querySelector(each).marked", arg=f"#{name}")
    assert panel.page.evaluate(FOCUSED) == name


@pytest.mark.parametrize("part", ["state", "figures"])
def test_everything_that_can_be_focused_in_what_is_refreshed_has_a_name(part, panel):
    panel.open().press("Force open").confirm()
    panel.press("Force closed").confirm()
    region = panel.page.locator(f"section[data-ch-url$='/{part}/']")
    ids = region.locator("a, button, summary, [tabindex]").evaluate_all(
        "all => all.map(each => each.id)"
    )
    assert ids
    assert "" not in ids
    assert len(set(ids)) == len(ids)


def test_the_focus_stays_near_a_button_that_is_gone(panel, server):
    panel.open()
    panel.page.locator("#ch-do-open").focus()
    panel.page.route(
        "**/state/", lambda route: route.fulfill(content_type="text/html", body="<p>Nothing</p>")
    )
    refresh(panel)
    expect(panel.page.get_by_text("Nothing", exact=True)).to_be_visible()
    assert panel.page.evaluate("document.activeElement.dataset.chUrl").endswith("/state/")


def test_what_somebody_selects_stays_selected_until_he_is_done(panel):
    panel.open()
    mark(panel, ".ch-headline")
    panel.page.evaluate("getSelection().selectAllChildren(document.querySelector('.ch-headline'))")
    refresh(panel)
    assert not swapped(panel, ".ch-headline")
    assert "replies in" in panel.page.evaluate("getSelection().toString()")
    panel.page.evaluate("getSelection().removeAllRanges()")
    refresh(panel)
    panel.page.wait_for_function("!document.querySelector('.ch-headline').marked")


def test_what_is_the_same_is_left_alone(panel):
    panel.open()
    panel.page.route(
        "**/state/",
        lambda route: route.fulfill(content_type="text/html", body="<p id='same'>As it was</p>"),
    )
    refresh(panel)
    expect(panel.page.get_by_text("As it was")).to_be_visible()
    mark(panel, "#same")
    refresh(panel)
    assert not swapped(panel, "#same")


def test_a_change_is_announced_once_and_a_new_round_trip_is_not(panel, server):
    status = panel.open().page.locator("[role=status]")
    refresh(panel)
    expect(status).to_be_empty()
    server.process.kill()
    refresh(panel)
    expect(status).to_have_text(
        "Degraded: The database does not reply. Each process uses a local store instead."
    )


def test_a_change_is_announced_even_while_something_is_selected(panel, server):
    status = panel.open().page.locator("[role=status]")
    panel.page.evaluate("getSelection().selectAllChildren(document.body)")
    server.process.kill()
    refresh(panel)
    expect(status).to_contain_text("Degraded: ")
    expect(panel.badge).to_contain_text("OK")


def test_a_failure_is_told_until_the_page_is_refreshed_again(panel):
    panel.open()
    panel.page.route("**/state/", lambda route: route.abort())
    panel.later(seconds=10)
    failed = panel.page.get_by_text("The page could not be refreshed")
    expect(failed).to_be_visible()
    panel.later(seconds=3)
    expect(failed).to_be_visible()


def test_a_site_that_hangs_is_told_and_the_page_says_of_when_it_is(panel):
    moment = panel.open().page.locator("section time").first
    before = moment.get_attribute("datetime")
    panel.page.route("**/state/", lambda route: None)
    panel.later(seconds=10)
    failed = panel.page.get_by_text("The page could not be refreshed")
    expect(failed).to_be_visible(timeout=12_000)  # the browser's own clock
    expect(moment).to_have_attribute("datetime", before)
    panel.page.unroute_all()
    refresh(panel)
    expect(failed).to_be_hidden()
    expect(moment).not_to_have_attribute("datetime", before)
