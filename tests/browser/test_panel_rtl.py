"""The panel in a right-to-left admin, in Hebrew."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.panel_pages import PAGE
from tests.browser.panel_seed import write_busy_day

# The horizontal positions of a text's first and last character.
EDGES = """element => {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), nodes = [];
  while (texts.nextNode()) if (texts.currentNode.data.trim()) nodes.push(texts.currentNode);
  const place = (node, begin) => {
    const range = document.createRange();
    range.setStart(node, begin);
    range.setEnd(node, begin + 1);
    return range.getBoundingClientRect().left;
  };
  const [first, last] = [nodes[0], nodes.at(-1)];
  return [
    place(first, first.data.search(/\\S/)), place(last, last.data.trimEnd().length - 1)
  ];
}"""


@pytest.fixture
def panel(visit, server):
    write_busy_day(server)
    panel = visit()
    cookie = {"name": "django_language", "value": "he", "url": panel.page.url}
    panel.page.context.add_cookies([cookie])
    panel.open("?sample=1")
    expect(panel.page.locator("html")).to_have_attribute("dir", "rtl")
    return panel


def is_left_to_right(locator):
    first, last = locator.first.evaluate(EDGES)
    return first < last


def test_the_time_axis_runs_from_left_to_right(panel):
    times = panel.page.locator(".ch-times").first.locator("span")
    assert times.first.bounding_box()["x"] < times.last.bounding_box()["x"]
    scale, plot = (panel.page.locator(f".ch-plot {each}").first for each in (".ch-scale", "svg"))
    assert scale.bounding_box()["x"] < plot.bounding_box()["x"]


def test_latin_letters_and_numbers_run_from_left_to_right(panel):
    for selector in (
        ".ch-headline",
        "#ch-keys code",
        "#ch-limits-scroll td[data-label=Rate]",
        ".ch-gauge span[dir]",
        ".ch-tiles strong",
        ".ch-legend li",
        "#ch-keys .ch-share",
        "section time",
    ):
        assert is_left_to_right(panel.page.locator(selector)), selector


def test_the_name_of_a_family_is_typed_from_left_to_right(panel):
    field = panel.page.locator("#ch-family")
    assert field.evaluate("each => getComputedStyle(each).direction") == "ltr"


def test_punctuation_of_the_list_and_messages_is_in_place(panel):
    panel.page.locator("#ch-do-probe").click()
    assert is_left_to_right(panel.page.locator(".messagelist li"))
    panel.page.goto(PAGE)
    assert is_left_to_right(panel.page.locator(".ch-facts dd").nth(1))
    panel.save_screenshot("list-he")


def test_nothing_is_cut_or_covered(panel):
    panel.open_details()
    title, tools = (
        panel.page.locator(f"#content {each}").first.evaluate(
            "each => { const range = new Range(); range.selectNodeContents(each); "
            "return range.getBoundingClientRect().toJSON(); }"
        )
        for each in ("h1", ".object-tools")
    )
    # Django 6.1 places the tools below the title, older versions beside it.
    assert tools["right"] < title["left"] or tools["top"] >= title["bottom"]
    panel.save_screenshot("page-he")
    assert panel.measure_overflow() == 0
