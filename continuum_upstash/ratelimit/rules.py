"""The RULES of CONTINUUM_RATELIMIT: which policies apply to which views.

Rules match the resolved route, not the requested path, so a different spelling of the path cannot
avoid a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import ResolverMatch

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.policy import (
    Policy,
    describe_shared_counter,
    find_shared_counters,
)

_OPTIONS: Final = frozenset({"route", "view", "policies"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the settings.

    Attributes:
        route: the start of the view's route, as in the URLconf: ``api/``; empty: every view.
        view: the view's name, such as ``shop:search``; None: any view.
        policies: the policies that apply together.
    """

    route: str
    view: str | None
    policies: tuple[Policy, ...]

    def matches(self, route: str | None, view_name: str) -> bool:
        """Return whether the rule applies to a view.

        Args:
            route: the view's ``ResolverMatch.route``.
            view_name: its ``ResolverMatch.view_name``.
        """
        if self.view is not None and view_name != self.view:
            return False
        return (route or "").removeprefix("^").startswith(self.route)


def match_rules(rules: Iterable[Rule], match: ResolverMatch) -> tuple[Policy, ...]:
    """Return the policies of the first rule that matches; empty: none does."""
    route, name = match.route, match.view_name
    return next((each.policies for each in rules if each.matches(route, name)), ())


def parse_rules(
    rules: Sequence[Mapping[str, Any]], get_policy: Callable[[str], Policy]
) -> tuple[Rule, ...]:
    """Return the rules of the settings.

    Args:
        rules: the value of RULES.
        get_policy: returns the policy of a name, or raises ConfigurationError.

    Raises:
        ConfigurationError: a rule is invalid, or names an unknown policy.
    """
    return tuple(_parse_rule(number, rule, get_policy) for number, rule in enumerate(rules, 1))


def _parse_rule(number: int, rule: Mapping[str, Any], get_policy: Callable[[str], Policy]) -> Rule:
    if not isinstance(rule, Mapping):
        raise ConfigurationError(f"Rule {number} of RULES must be a dict, not {rule!r}.")
    unknown = ", ".join(sorted(rule.keys() - _OPTIONS))
    if unknown or "policies" not in rule or not rule.keys() & {"route", "view"}:
        problem = f"unknown option {unknown}. " if unknown else ""
        raise ConfigurationError(
            f"Rule {number} of RULES: {problem}A rule has 'route' or 'view', and 'policies'."
        )
    for option in ("route", "view"):
        if not isinstance(rule.get(option, ""), str):
            raise ConfigurationError(
                f"Rule {number} of RULES: '{option}' must be a string, not {rule[option]!r}."
            )
    policies = tuple(map(get_policy, rule["policies"]))
    for one, other in find_shared_counters(policies):
        raise ConfigurationError(f"Rule {number} of RULES: {describe_shared_counter(one, other)}")
    return Rule(rule.get("route", "").removeprefix("^"), rule.get("view"), policies)
