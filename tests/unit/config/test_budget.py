"""What OPTIONS["BUDGET"] may contain; all that is wrong is reported at once."""

from __future__ import annotations

import pytest

from continuum_upstash.config.budget import Budget, read_amount
from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError

ENVIRON = {"UPSTASH_REDIS_REST_URL": "https://db.upstash.io", "UPSTASH_REDIS_REST_TOKEN": "t"}


def resolve_budget(value):
    return resolve({"BUDGET": value}, ENVIRON).budget


def test_the_thresholds_have_defaults():
    assert resolve_budget(None) is None
    assert resolve_budget({"COMMANDS": 5_000_000}) == Budget(
        5_000_000, "commands", 0.8, 0.9, 0.95, 1.0, near_factor=10.0, sessions="stop"
    )
    assert resolve_budget({"DOLLARS": 20.5})[:2] == (20.5, "dollars")


@pytest.mark.parametrize(
    ("entries", "thresholds"),
    [
        ({"SOFT": 0.5}, (0.5, 0.9, 0.95, 1.0)),
        ({"SOFT": 0.97}, (0.97, 0.97, 0.97, 1.0)),
        ({"HARD": 0.7}, (0.7, 0.7, 0.7, 0.7)),
        ({"NEAR": 1, "HARD": 1}, (0.8, 1.0, 1.0, 1.0)),
        ({"ESSENTIAL": 0.5, "HARD": 0.6}, (0.5, 0.5, 0.5, 0.6)),
    ],
)
def test_a_default_does_not_contradict_a_threshold(entries, thresholds):
    assert resolve_budget({"COMMANDS": 100, **entries})[2:6] == thresholds


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (100, ["BUDGET must be a dict"]),
        ({}, ["either COMMANDS or DOLLARS, and contains neither"]),
        ({"COMMANDS": 1, "DOLLARS": 1}, ["contains both"]),
        ({"COMMANDS": 0}, ["a number of commands a month above 0, not 0"]),
        ({"DOLLARS": "20"}, ["dollars a month above 0, not '20'"]),
        ({"COMMANDS": True}, ["not True"]),
        ({"COMMANDS": float("inf")}, ["not inf"]),
        ({"COMMANDS": 10**400}, ["above 0, not 1000"]),
        ({"COMMANDS": 1, "SOFT": 1.5}, ["BUDGET['SOFT'] must be a fraction above 0"]),
        ({"COMMANDS": 1, "SOFT": 0.9, "HARD": 0.5}, ["SOFT must not exceed HARD"]),
        ({"COMMANDS": 1, "NEAR_FACTOR": 0.5}, ["NEAR_FACTOR'] must be a number from 1 on"]),
        ({"COMMANDS": 1, "SESSIONS": "local"}, ["must be stop or continue, not 'local'"]),
        (
            {"COMANDS": 5, "SOFT": 0.9, "NEAR": 0.8, "ESSENTIAL": "all", "SESSIONS": None},
            [
                "BUDGET has no entry COMANDS. Did you mean COMMANDS?",
                "contains neither",
                "SOFT must not exceed NEAR",
                "BUDGET['ESSENTIAL'] must be a fraction",
                "BUDGET['SESSIONS'] must be stop or continue",
            ],
        ),
    ],
)
def test_all_that_is_wrong_is_reported(value, texts):
    with pytest.raises(ConfigurationError) as raised:
        resolve_budget(value)
    assert [text for text in texts if text not in str(raised.value)] == []


def test_a_function_may_return_the_budget():
    amounts = [5.0, "many"]
    budget = resolve_budget({"DOLLARS": lambda: amounts.pop(0)})
    assert read_amount(budget) == 5.0
    with pytest.raises(ConfigurationError, match="must return dollars above 0, not 'many'"):
        read_amount(budget)
