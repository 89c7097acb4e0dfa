"""How the panel formats numbers, and what it shows without any."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache

from tests.integration.panel.panel_site import make_totals, now, page, write_history


@pytest.mark.parametrize("separated", [True, False])
def test_numbers_have_thousands_separators(separated, panel, visit, settings):
    settings.USE_THOUSAND_SEPARATOR = separated
    cache.set_many({f"query:{n}": n for n in range(1200)})
    totals = make_totals(40, 30, errors=2345)
    totals.commands["GET"] = 345_678
    write_history({now(): totals}, "minute")
    write_history({now(): totals}, "hour")
    text = visit(page() + "?sample=1").text
    for expected in (
        "contains 1,200 keys",
        "query: 1,200",
        "GET 345,678",
        "DeadlineExceeded 2,345",
    ):
        assert expected in text
    assert re.search(r"Keys 1,2\d\d ", text)  # in the whole database
    assert re.search(r"\d / 500,000 \(", text)  # the month's bill
    path = page("clear") + "?family=query"
    assert "1,200 keys will be deleted" in visit(path).text


def test_a_period_without_reads_is_shown_as_such(panel, visit):
    totals = make_totals(40, 30)
    totals.hits = totals.misses = 0
    write_history({now(): totals}, "hour")
    write_history({now(): totals}, "minute")
    text = visit(page("figures")).text
    assert text.count("No keys were read in this period.") == 2
    assert "No commands in this period." not in text


def test_the_near_cache_is_shown_where_there_is_one(panel, visit):
    totals = make_totals(40, 30)
    write_history({now(): totals}, "hour")
    assert "near cache" not in visit(page("figures")).text
    totals.near_hits, totals.near_saved = 70, 65
    write_history({now(): totals}, "hour")
    write_history({now(): totals}, "minute")
    text = visit(page("figures")).text
    assert "Commands saved by the near cache 65" in text
    assert "Hit rate 90.9" in text


def test_the_budget_is_shown_where_there_is_one(panel, visit, settings):
    assert "Budget" not in visit(page()).text
    entry = settings.CACHES["default"]
    options = {**entry["OPTIONS"], "BUDGET": {"COMMANDS": 200, "SOFT": 0.1}}
    settings.CACHES = {**settings.CACHES, "default": {**entry, "OPTIONS": options}}
    for _ in range(40):
        cache.get("k")
    text = visit(page()).text
    assert re.search(r"Budget of this month, stage warn \d+ / 200 \(\d", text)
    assert "of the month's budget of 200 commands used. Nothing is restricted yet." in text
    assert "BUDGET 200 commands OPTIONS" in text
    assert re.search(r"within warn upstash-\w+ \d+ % of the month's budget", text)
