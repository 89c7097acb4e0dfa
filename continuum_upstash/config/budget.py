"""OPTIONS["BUDGET"]: how much a database may cost in a month, and what happens on the way there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from continuum_upstash.errors import ConfigurationError, suggest_similar

Amount: TypeAlias = float | Callable[[], float]

# The default fractions of the budget, in the order in which they are reached.
THRESHOLDS: Final[Mapping[str, float]] = {"SOFT": 0.8, "NEAR": 0.9, "ESSENTIAL": 0.95, "HARD": 1.0}
_AMOUNTS: Final = ("COMMANDS", "DOLLARS")
_SESSIONS: Final = ("stop", "continue")
_ENTRIES: Final = (*_AMOUNTS, *THRESHOLDS, "NEAR_FACTOR", "SESSIONS")


class Budget(NamedTuple):
    """The budget of a month.

    Attributes:
        amount: commands or dollars, or a function that returns them.
        unit: what the amount is.
        soft, near, essential, hard: the fractions of the budget at which the stages `warn`, `near`,
            `essential` and `local` begin.
        near_factor: how many times as long the near cache keeps new copies from the stage `near`
            on.
        sessions: whether sessions stop or continue when the budget is used up.
    """

    amount: Amount
    unit: Literal["commands", "dollars"]
    soft: float
    near: float
    essential: float
    hard: float
    near_factor: float = 10.0
    sessions: Literal["stop", "continue"] = "stop"


def parse_budget(value: Any) -> Budget | None:
    """Return the budget of an option's value; None: there is none.

    Raises:
        ConfigurationError: an unknown entry, an invalid value, no amount or two, or thresholds in
            the wrong order. The message lists all that is wrong.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigurationError('BUDGET must be a dict, for example {"COMMANDS": 5_000_000}.')
    problems = [
        f"BUDGET has no entry {name}.{suggest_similar(str(name), _ENTRIES)}"
        for name in value
        if name not in _ENTRIES
    ]
    problems += _check_amount(value)
    thresholds = _fill_thresholds(value, problems)
    factor, sessions = value.get("NEAR_FACTOR", 10.0), value.get("SESSIONS", "stop")
    if not (_is_number(factor) and factor >= 1):
        problems.append(f"BUDGET['NEAR_FACTOR'] must be a number from 1 on, not {factor!r}.")
    if sessions not in _SESSIONS:
        problems.append(f"BUDGET['SESSIONS'] must be stop or continue, not {sessions!r}.")
    if problems:
        raise ConfigurationError(" ".join(problems))
    unit: Literal["commands", "dollars"] = "commands" if "COMMANDS" in value else "dollars"
    soft, near, essential, hard = thresholds
    amount = value[unit.upper()]
    return Budget(amount, unit, soft, near, essential, hard, float(factor), sessions)


def read_amount(budget: Budget) -> float:
    """Return the budget's commands or dollars; a function is called.

    Raises:
        ConfigurationError: the function returned something else.
        Exception: the function raised it.
    """
    if not callable(budget.amount):
        return budget.amount
    amount = budget.amount()
    if not _is_amount(amount):
        raise ConfigurationError(
            f"The function in BUDGET['{budget.unit.upper()}'] must return {budget.unit} above 0, "
            f"not {amount!r}."
        )
    return amount


def _check_amount(value: Mapping[Any, Any]) -> list[str]:
    names = [name for name in _AMOUNTS if name in value]
    if len(names) != 1:
        found = "both" if names else "neither"
        return [f"BUDGET must contain either COMMANDS or DOLLARS, and contains {found}."]
    amount = value[names[0]]
    if callable(amount) or _is_amount(amount):
        return []
    unit = "a number of commands" if names[0] == "COMMANDS" else "dollars"
    return [f"BUDGET['{names[0]}'] must be {unit} a month above 0, not {amount!r}."]


def _fill_thresholds(value: Mapping[Any, Any], problems: list[str]) -> list[float]:
    """Return all thresholds; append what is wrong with the configured ones to `problems`.

    A default that contradicts a configured threshold is replaced by that threshold.
    """
    valid: dict[str, float] = {}
    for name in THRESHOLDS.keys() & value.keys():
        if _is_number(value[name]) and 0 < value[name] <= 1:
            valid[name] = value[name]
        else:
            problems.append(
                f"BUDGET['{name}'] must be a fraction above 0 and up to 1, not {value[name]!r}."
            )
    order = [name for name in THRESHOLDS if name in valid]
    for lower, higher in pairwise(order):
        if valid[lower] > valid[higher]:
            problems.append(
                f"BUDGET['{lower}'] is {valid[lower]!r} and BUDGET['{higher}'] is "
                f"{valid[higher]!r}: {lower} must not exceed {higher}."
            )
    names, filled = list(THRESHOLDS), []
    for index, name in enumerate(names):
        least = max((valid[each] for each in names[:index] if each in valid), default=0.0)
        most = min((valid[each] for each in names[index + 1 :] if each in valid), default=1.0)
        filled.append(float(valid.get(name, min(max(THRESHOLDS[name], least), most))))
    return filled


def _is_amount(value: object) -> bool:
    return _is_number(value) and 0 < value <= sys.float_info.max  # type: ignore[operator]  # a number


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
