from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.health.overview import read_overview
from continuum_upstash.management.arguments import parse_dollars
from continuum_upstash.stats.bill import MonthlyUsage, project_bill
from continuum_upstash.stats.pricing import PRICING_PLANS
from continuum_upstash.stats.shared import writer
from continuum_upstash.stats.shared.schema import day_key, encode_totals
from continuum_upstash.stats.totals import Totals
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
    text = run_command("cache_cost").out
    assert ("Plan payg" in text) is not found["bill"]["is_early"]
    assert "\n  GET " in text
    assert "PING" not in text  # it is not billed


def test_a_projection_of_less_than_an_hour_is_too_early():
    month, hour = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 26, 9, tzinfo=UTC)
    usage = MonthlyUsage(805, hour, 805)
    found = project_bill("payg", usage, hour + timedelta(minutes=4))
    assert "too early" in found.describe_projection()
    assert found.as_dict()["projected"] is None
    assert project_bill("payg", 805, month + timedelta(minutes=4)).is_early


@pytest.mark.parametrize("days", [0.1, 2, 9])
def test_a_projection_begins_with_the_first_recorded_hour(days):
    """A site that began in the middle of an hour sends a thousand commands per hour."""
    end = datetime(2026, 12, 1, tzinfo=UTC)
    first = datetime(2026, 11, 20, 9, tzinfo=UTC)
    now = first + timedelta(hours=1, days=days)
    found = project_bill("payg", MonthlyUsage(500 + round(days * 24_000), first, 500), now)
    assert not found.is_early
    expected = 500 + (end - first - timedelta(hours=1)) / timedelta(hours=1) * 1000
    assert found.projected == pytest.approx(expected, 0.001)
    assert found.least < found.projected < found.most
    rest = expected - found.commands
    share = {0.1: 2.0, 2: 0.25, 9: 0.1}[days]
    assert found.most - found.projected == pytest.approx(rest * share, 0.01)


def test_the_first_hour_of_all_aliases_counts(site, emulator):
    site.CACHES["other"] = make_entry(emulator, KEY_PREFIX="other")
    site.CONTINUUM_STATS = {"SHARED": False}
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    totals = encode_totals(Totals(batches=100, billed=100, misses=100)).decode()
    for alias, hours in (("default", (1, 2)), ("other", (49, 48))):
        for ago in hours:
            at = now - timedelta(hours=ago)
            key = day_key(alias, at)
            get_cache(alias).client.redis.hset(key, f"{at:%H}:p", totals)
    bill = get_cache().run(read_overview(get_cache(), now=now)).bill
    rest = 300 * (31 - 9.5) * 24 / 48
    assert (bill.commands, bill.projected) == (400, round(400 + rest))


def test_the_bill_includes_other_aliases_of_the_database(site, emulator):
    site.CACHES["other"] = make_entry(emulator, KEY_PREFIX="other")
    for alias in ("default", "other"):
        for _ in range(5):
            get_cache(alias).get("k")
        get_cache(alias).client.ping()
    found = run_command("cache_cost", "--all", "--format", "json").json["caches"]
    assert [each["commands"]["GET"] for each in found] == [5, 5]
    assert all(each["bill"]["commands"] > 10 for each in found)
    text = " ".join(run_command("cache_cost").out.split())
    assert re.search(r"billed commands of the database, \d+ of them by this cache", text)


def test_fail_on_limit_exits_with_1_near_the_limit(monkeypatch):
    get_cache().get("k")
    get_cache().client.ping()
    assert run_command("cache_cost", "--fail-on", "limit").code == 0
    monkeypatch.setattr("continuum_upstash.management.commands.cache_cost.WARN_RATIO", 0.0)
    assert run_command("cache_cost", "--fail-on", "limit").code == 1


@pytest.fixture
def million(site):
    """A million commands on pay as you go since the month began: two dollars so far."""
    site.CONTINUUM_STATS = {"SHARED": False, "PLAN": "payg"}
    now = datetime.now(UTC)
    totals = encode_totals(Totals(batches=1, billed=1_000_000)).decode()
    get_cache().client.redis.hset(day_key("default", now), "00:p", totals)


@pytest.mark.parametrize("command", ["cache_cost", "cache_stats"])
def test_fail_on_cost_exits_with_1_above_the_budget(command, million):
    run = run_command(command, "--fail-on", "cost", "--budget", "1.99")
    assert (run.code, "Above the budget of $1.99: default: 1,000,00" in run.error) == (1, True)
    assert run_command(command, "--fail-on", "cost", "--budget", "5000").code == 0


@pytest.mark.parametrize("command", ["cache_cost", "cache_stats"])
@pytest.mark.parametrize(
    "arguments",
    [("--fail-on", "cost"), ("--budget", "5")],
)
def test_fail_on_cost_and_a_budget_belong_together(command, arguments):
    assert run_command(command, *arguments).code == 2


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e9", "5 $", ""])
def test_a_budget_is_an_amount_of_dollars(text):
    assert parse_dollars("0.50") == 0.5
    with pytest.raises(ArgumentTypeError, match="no amount of dollars"):
        parse_dollars(text)


def test_a_projection_above_the_budget_fails_unless_it_is_early():
    now = datetime(2026, 11, 16, tzinfo=UTC)
    assert project_bill("payg", 1_000_000, now).is_above(3.99)
    assert not project_bill("payg", 1_000_000, now).is_above(4.01)
    early = MonthlyUsage(1_000_000, now, 1_000_000)
    assert not project_bill("payg", early, now).is_above(3.99)
    assert project_bill("payg", early, now).is_above(1.99)


def test_an_outage_and_invalid_arguments_exit_with_2(emulator):
    with emulator.fault("refuse"):
        assert run_command("cache_cost").code == 2
    assert run_command("cache_cost", "--cache", "unknown").code == 2


def test_a_database_without_a_reply_does_not_hide_the_others(site, emulator):
    site.CACHES["wrong"] = make_entry(emulator, OPTIONS={"TOKEN": "wrong"})
    run = run_command("cache_cost", "--all")
    assert run.code == 2
    assert "default: no figures yet\n  Statistics      no history yet" in run.out
    assert "wrong: no figures\n  Error           WRONGPASS" in run.out
    assert "There are no figures of wrong." in run.error
    assert all(len(line) <= 80 or "https:" in line for line in run.out.splitlines())
    right, wrong = run_command("cache_cost", "--all", "--format", "json").json["caches"]
    assert (right["error"], wrong["bill"]) == ("", None)
    assert "WRONGPASS" in wrong["error"]


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
    assert "no database is configured" in run_command("cache_cost").out


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


def test_an_alias_with_queues_shows_what_an_idle_worker_costs(settings):
    assert run_command("cache_cost", "--format", "json").json["caches"][0]["idle_worker"] is None
    settings.CONTINUUM_FEDERATION = {"HANDLERS": {"mail": "shop.send"}, "ALIAS": "default"}
    (found,) = run_command("cache_cost", "--format", "json").json["caches"]
    assert found["idle_worker"] == {"queues": 1, "commands_per_day": 2016, "dollars": 0.12}
    assert "at most 2,016 billed commands a day" in run_command("cache_cost").out


def test_an_invalid_setting_of_queues_is_a_message(settings):
    settings.CONTINUUM_FEDERATION = {"HANDLER": "x.y"}
    run = run_command("cache_cost")
    assert (run.code, "Did you mean HANDLERS?" in run.error) == (2, True)
