from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from continuum_upstash.stats.pricing import PRICING_PLANS, project_bill
from continuum_upstash.stats.shared import writer
from continuum_upstash.transports import registry
from tests.integration.management.command_runs import cache, entry, ran


@pytest.fixture(autouse=True)
def site(emulator, settings, new_process_state):
    settings.CACHES = {"default": entry(emulator)}
    settings.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 1000}
    writer.start()
    yield settings
    writer.stop()
    registry.reset()


def test_the_months_commands_by_name():
    for _ in range(5):
        cache().get("k")
    cache().client.ping()
    (found,) = ran("cache_cost", "--format", "json").json["caches"]
    assert found["commands"]["GET"] == 5
    billed = found["commands"]["GET"] + found["commands"].get("HGETALL", 0)
    assert found["bill"]["commands"] == billed + found["statistics_commands"]
    assert {each["plan"] for each in found["other_plans"]} <= PRICING_PLANS.keys() - {"free"}
    assert "plan payg" in ran("cache_cost").out


def test_what_other_aliases_of_the_database_did_is_billed_with_it(site, emulator):
    site.CACHES = {"default": entry(emulator), "other": entry(emulator, KEY_PREFIX="other")}
    for alias in ("default", "other"):
        for _ in range(5):
            cache(alias).get("k")
        cache(alias).client.ping()
    found = ran("cache_cost", "--all", "--format", "json").json["caches"]
    assert [each["commands"]["GET"] for each in found] == [5, 5]
    assert all(each["bill"]["commands"] > 10 for each in found)
    assert re.search(r"billed .* commands of the database, \d+ of them here", ran("cache_cost").out)


def test_near_the_limit_fails_when_asked_to(monkeypatch):
    cache().get("k")
    cache().client.ping()
    assert ran("cache_cost", "--fail-on", "limit").code == 0
    monkeypatch.setattr("continuum_upstash.management.commands.cache_cost.WARN_RATIO", 0.0)
    assert ran("cache_cost", "--fail-on", "limit").code == 1


def test_an_outage_and_misuse_are_2(emulator):
    with emulator.fault("refuse"):
        assert ran("cache_cost").code == 2
    assert ran("cache_cost", "--cache", "nobody").code == 2


def test_a_read_only_token_is_enough(emulator, site):
    site.CACHES = {"default": entry(emulator, OPTIONS={"TOKEN": emulator.read_only_token})}
    assert ran("cache_cost").code == 0


def test_without_a_history_it_says_so_and_shows_no_bill():
    writer.stop()
    assert "no history yet" in ran("cache_cost").out
    (found,) = ran("cache_cost", "--format", "json").json["caches"]
    assert found["bill"] is None


def test_a_local_cache_costs_nothing(site):
    site.CACHES = {"default": entry(None, "local")}
    (found,) = ran("cache_cost", "--format", "json").json["caches"]
    assert (found["bill"]["commands"], found["bill"]["dollars"]) == (0, 0)


@pytest.mark.parametrize(
    ("plan", "commands", "day", "projected", "dollars"),
    [
        ("free", 100_000, 16, 200_000, 0.0),
        ("payg", 1_000_000, 16, 2_000_000, 4.0),
        ("1gb", 5_000_000, 16, 10_000_000, 20.0),
        ("payg", 100, 1, 72_000, 0.14),
    ],
)
def test_a_projection(plan, commands, day, projected, dollars):
    found = project_bill(plan, commands, datetime(2026, 11, day, tzinfo=UTC))
    assert (found.projected, found.dollars) == (projected, dollars)
    assert found.used_ratio == (commands / 500_000 if plan == "free" else None)
