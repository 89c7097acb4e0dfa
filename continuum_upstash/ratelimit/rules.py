"""Which policies apply to which views, by the resolved route: what a client writes is no part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import ResolverMatch

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.policy import Policy, clash, clashes

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

    def fits(self, route: str | None, view_name: str) -> bool:
        """Return whether it is for a view, by what its ``ResolverMatch`` says."""
        if self.view is not None and view_name != self.view:
            return False
        return (route or "").removeprefix("^").startswith(self.route)


def first(routes: Iterable[Route], match: ResolverMatch) -> tuple[Policy, ...]:
    """Return the policies of the first rule that fits, or none."""
    route, name = match.route, match.view_name
    return next((each.policies for each in routes if each.fits(route, name)), ())


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
    for one, other in clashes(policies):
        raise ConfigurationError(f"Rule {number} of RULES: {clash(one, other)}")
    return Route(rule.get("route", "").removeprefix("^"), rule.get("view"), policies)
