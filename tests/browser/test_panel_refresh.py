"""The panel's refreshes do not disturb the keyboard focus, a selection or a screen reader."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.panel_seed import write_busy_day

FOCUSED = "document.activeElement.id"


@pytest.fixture
def panel(visit, server):
    write_busy_day(server)
    return visit().with_clock()


def refresh(panel, part="state"):
    with panel.page.expect_response(f"**/{part}/") as response:
        panel.advance(seconds=10 if part == "state" else 60)
    response.value.finished()
    panel.page.evaluate("new Promise(requestAnimationFrame)")


def mark(panel, part):
    """Mark an element; `was_replaced` tells whether a refresh has replaced it."""
    panel.page.evaluate("each => document.querySelector(each).marked = true", part)


def was_replaced(panel, part):
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
def test_the_keyboard_focus_stays_where_it_is(part, name, panel):
    panel.open().press("Force open…").confirm()
    panel.act("Force closed")
    panel.open_details()
    panel.page.locator(f"#{name}").focus()
    mark(panel, f"#{name}")
    refresh(panel, part)
    panel.page.wait_for_function("each => !document.querySelector(each).marked", arg=f"#{name}")
    assert panel.page.evaluate(FOCUSED) == name


@pytest.mark.parametrize("part", ["state", "figures"])
def test_every_focusable_element_of_a_refreshed_part_has_an_id(part, panel):
    panel.open().press("Force open…").confirm()
    panel.act("Force closed")
    region = panel.page.locator(f"section[data-ch-url$='/{part}/']")
    ids = region.locator("a, button, summary, [tabindex]").evaluate_all(
        "all => all.map(each => each.id)"
    )
    assert ids
    assert "" not in ids
    assert len(set(ids)) == len(ids)


def test_the_focus_stays_near_a_removed_button(panel, server):
    panel.open()
    panel.page.locator("#ch-do-open").focus()
    panel.page.route(
        "**/state/", lambda route: route.fulfill(content_type="text/html", body="<p>Nothing</p>")
    )
    refresh(panel)
    expect(panel.page.get_by_text("Nothing", exact=True)).to_be_visible()
    assert panel.page.evaluate("document.activeElement.dataset.chUrl").endswith("/state/")


def test_selected_text_stays_selected(panel):
    panel.open()
    mark(panel, ".ch-headline")
    panel.page.evaluate("getSelection().selectAllChildren(document.querySelector('.ch-headline'))")
    refresh(panel)
    assert not was_replaced(panel, ".ch-headline")
    assert "replies in" in panel.page.evaluate("getSelection().toString()")
    panel.page.evaluate("getSelection().removeAllRanges()")
    refresh(panel)
    panel.page.wait_for_function("!document.querySelector('.ch-headline').marked")


def test_unchanged_parts_are_not_replaced(panel):
    panel.open()
    panel.page.route(
        "**/state/",
        lambda route: route.fulfill(content_type="text/html", body="<p id='same'>As it was</p>"),
    )
    refresh(panel)
    expect(panel.page.get_by_text("As it was")).to_be_visible()
    mark(panel, "#same")
    refresh(panel)
    assert not was_replaced(panel, "#same")


def test_a_change_of_state_is_announced_once(panel, server):
    status = panel.open().page.locator("[role=status]")
    refresh(panel)
    expect(status).to_be_empty()
    server.process.kill()
    refresh(panel)
    expect(status).to_have_text(
        "Degraded: The database does not reply. Each process uses a local store instead."
    )


def test_a_change_is_announced_while_text_is_selected(panel, server):
    status = panel.open().page.locator("[role=status]")
    panel.page.evaluate("getSelection().selectAllChildren(document.body)")
    server.process.kill()
    refresh(panel)
    expect(status).to_contain_text("Degraded: ")
    expect(panel.badge).to_contain_text("OK")


def test_a_failed_refresh_is_shown_until_the_next_one_succeeds(panel):
    panel.open()
    panel.page.route("**/state/", lambda route: route.abort())
    panel.advance(seconds=10)
    failed = panel.page.get_by_text("The page could not be refreshed")
    expect(failed).to_be_visible()
    panel.advance(seconds=3)
    expect(failed).to_be_visible()


def test_a_hanging_site_is_shown_with_the_time_of_the_page(panel):
    time = panel.open().page.locator("section time").first
    before = time.get_attribute("datetime")
    panel.page.route("**/state/", lambda route: None)
    panel.advance(seconds=10)
    failed = panel.page.get_by_text("The page could not be refreshed")
    expect(failed).to_be_visible(timeout=12_000)  # by the browser's own clock
    expect(time).to_have_attribute("datetime", before)
    panel.page.unroute_all()
    refresh(panel)
    expect(failed).to_be_hidden()
    expect(time).not_to_have_attribute("datetime", before)
