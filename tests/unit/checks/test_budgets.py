"""What the checks find in OPTIONS["BUDGET"], beside what makes an entry of CACHES invalid."""

from __future__ import annotations

import pytest

from continuum_upstash.checks.caches import check_caches
from continuum_upstash.checks.stats import check_budgets
from tests.unit.checks.cache_entries import get_ids, make_entry

COMMANDS = {"COMMANDS": 5_000_000}


def make_budget(budget, **params):
    return make_entry(OPTIONS={"BUDGET": budget}, **params)


@pytest.mark.parametrize("plan", ["free", "1gb"])
def test_dollars_need_a_plan_with_a_price_for_commands(plan, settings):
    settings.CACHES = {"default": make_budget({"DOLLARS": 50})}
    settings.CONTINUUM_STATS = {"PLAN": plan}
    (message,) = check_budgets()
    assert message.id == "continuum_upstash.E025"
    assert f"commands have no price on the pricing plan '{plan}'" in message.msg
    settings.CACHES = {"default": make_budget(COMMANDS)}
    assert check_budgets() == []


def fail():
    raise OSError("no such file")


@pytest.mark.parametrize(
    ("dollars", "text"), [(1e-9, "which pays for no command"), (fail, "no such file")]
)
def test_dollars_must_pay_for_commands(dollars, text, settings):
    settings.CACHES = {"default": make_budget({"DOLLARS": dollars})}
    settings.CONTINUUM_STATS = {"PLAN": "payg"}
    (message,) = check_budgets()
    assert (message.id, text in message.msg) == ("continuum_upstash.E025", True)


def test_fixed_prices_are_part_of_the_dollars(settings):
    settings.CACHES = {"default": make_budget({"DOLLARS": 150})}
    settings.CONTINUUM_STATS = {"PLAN": "payg", "PROD_PACK": True}
    (message,) = check_budgets()
    assert "which pays for no command" in message.msg


def test_an_unknown_plan_is_reported(settings):
    settings.CACHES = {"default": make_budget({"DOLLARS": 5})}
    settings.CONTINUUM_STATS = {"PLAN": "gold"}
    (message,) = check_budgets()
    assert "PLAN'] is 'gold'" in message.msg


def test_statistics_that_are_not_shared_are_reported(settings):
    settings.CACHES = {"default": make_budget(COMMANDS)}
    settings.CONTINUUM_STATS = {"SHARED": False}
    assert get_ids(check_budgets()) == ["W026"]


def test_another_alias_without_a_budget_is_reported(settings):
    settings.CONTINUUM_STATS = {}
    settings.CACHES = {
        "default": make_budget(COMMANDS, KEY_PREFIX="a"),
        "other": make_entry(KEY_PREFIX="b"),
        "elsewhere": make_entry("https://other.upstash.io"),
    }
    (message,) = check_budgets()
    assert (message.id, "'other'" in message.msg) == ("continuum_upstash.W027", True)
    settings.CACHES["other"] = make_budget(COMMANDS, KEY_PREFIX="b")
    assert check_budgets() == []


def test_all_that_is_wrong_with_an_entry_is_one_error(settings):
    budget = {"COMANDS": 1, "SOFT": 0.9, "HARD": 0.5}
    settings.CACHES = {"default": make_entry(OPTIONS={"BUDGET": budget, "POOLSIZE": 3})}
    (message,) = [each for each in check_caches() if each.id == "continuum_upstash.E002"]
    for text in ("POOLSIZE", "Did you mean COMMANDS?", "neither", "SOFT must not exceed HARD"):
        assert text in message.msg
