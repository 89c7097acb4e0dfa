"""Which policies apply to which views, by the resolved route: what a client writes is no part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import ResolverMatch

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.policy import Policy

_OPTIONS: Final = frozenset({"route", "view", "policies"})


@dataclass(frozen=True, slots=True)
class Route:
    """A rule of the settings.

    Attributes:
        route: what the view's route begins with, as in the URLconf: ``api/``; "" is every view.
        view: the view's name, such as ``shop:search``; None: any.
        policies: all of them apply, together.
    """

    route: str
    view: str | None
    policies: tuple[Policy, ...]

    def fits(self, match: ResolverMatch) -> bool:
        if self.view is not None and match.view_name != self.view:
            return False
        return (match.route or "").removeprefix("^").startswith(self.route)


def first(routes: Iterable[Route], match: ResolverMatch) -> tuple[Policy, ...]:
    """Return the policies of the first rule that fits, or none."""
    return next((route.policies for route in routes if route.fits(match)), ())


def read_routes(
    rules: Sequence[Mapping[str, Any]], policy: Callable[[str], Policy]
) -> tuple[Route, ...]:
    """Return the rules of the settings.

    Raises:
        ConfigurationError: one is incomplete, or names what does not exist.
    """
    return tuple(_read(number, rule, policy) for number, rule in enumerate(rules, 1))


def _read(number: int, rule: Mapping[str, Any], policy: Callable[[str], Policy]) -> Route:
    if not isinstance(rule, Mapping):
        raise ConfigurationError(f"Rule {number} of RULES is a dict, not {rule!r}.")
    unknown = ", ".join(sorted(rule.keys() - _OPTIONS))
    if unknown or "policies" not in rule or not rule.keys() & {"route", "view"}:
        wrong = f"unknown: {unknown}. " if unknown else ""
        raise ConfigurationError(
            f"Rule {number} of RULES: {wrong}A rule has 'route' or 'view', and 'policies'."
        )
    for option in ("route", "view"):
        if not isinstance(rule.get(option, ""), str):
            raise ConfigurationError(
                f"Rule {number} of RULES: '{option}' is text, not {rule[option]!r}."
            )
    policies = tuple(map(policy, rule["policies"]))
    groups = [each.counter for each in policies]
    if len(set(groups)) < len(groups):
        raise ConfigurationError(
            f"Rule {number} of RULES: two of its policies have one group, which would be charged "
            "twice. Give them groups of their own."
        )
    return Route(rule.get("route", "").removeprefix("^"), rule.get("view"), policies)
