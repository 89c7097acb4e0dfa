from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.stats.pricing import PRICING_PLANS, project_bill
from continuum_upstash.stats.shared import writer
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command

pytestmark = pytest.mark.usefixtures("shared_statistics")


def test_the_months_commands_are_counted_by_name():
    for _ in range(5):
        get_cache().get("k")
    get_cache().client.ping()
    (found,) = run_command("cache_cost", "--format", "json").json["caches"]
    assert found["commands"]["GET"] == 5
    billed = found["commands"]["GET"] + found["commands"].get("HGETALL", 0)
    assert found["bill"]["commands"] == billed + found["statistics_commands"]
    assert {each["plan"] for each in found["other_plans"]} <= PRICING_PLANS.keys() - {"free"}
    assert "Plan payg" in run_command("cache_cost").out


def test_the_bill_includes_other_aliases_of_the_database(site, emulator):
    site.CACHES["other"] = make_entry(emulator, KEY_PREFIX="other")
    for alias in ("default", "other"):
        for _ in range(5):
            get_cache(alias).get("k")
        get_cache(alias).client.ping()
    found = run_command("cache_cost", "--all", "--format", "json").json["caches"]
    assert [each["commands"]["GET"] for each in found] == [5, 5]
    assert all(each["bill"]["commands"] > 10 for each in found)
    text = run_command("cache_cost").out
    assert re.search(r"billed commands of the database, \d+ of them by this cache", text)


def test_fail_on_limit_exits_with_1_near_the_limit(monkeypatch):
    get_cache().get("k")
    get_cache().client.ping()
    assert run_command("cache_cost", "--fail-on", "limit").code == 0
    monkeypatch.setattr("continuum_upstash.management.commands.cache_cost.WARN_RATIO", 0.0)
    assert run_command("cache_cost", "--fail-on", "limit").code == 1


def test_an_outage_and_invalid_arguments_exit_with_2(emulator):
    with emulator.fault("refuse"):
        assert run_command("cache_cost").code == 2
    assert run_command("cache_cost", "--cache", "unknown").code == 2


def test_a_read_only_token_is_enough(emulator, site):
    site.CACHES = {"default": make_entry(emulator, OPTIONS={"TOKEN": emulator.read_only_token})}
    assert run_command("cache_cost").code == 0


def test_without_a_history_there_is_no_bill():
    writer.stop()
    assert "no history yet" in run_command("cache_cost").out
    (found,) = run_command("cache_cost", "--format", "json").json["caches"]
    assert found["bill"] is None


def test_a_local_cache_costs_nothing(site):
    site.CACHES = {"default": make_entry(None, "local")}
    (found,) = run_command("cache_cost", "--format", "json").json["caches"]
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
def test_the_projection_of_a_month(plan, commands, day, projected, dollars):
    found = project_bill(plan, commands, datetime(2026, 11, day, tzinfo=UTC))
    assert (found.projected, found.dollars) == (projected, dollars)
    assert found.used_ratio == (commands / 500_000 if plan == "free" else None)
