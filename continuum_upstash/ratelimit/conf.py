"""``CONTINUUM_RATELIMIT``, read when it is needed so that tests may override it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import inf
from typing import Any, Final, TypeVar

from django.conf import settings
from django.core.signals import setting_changed

from continuum_upstash.errors import ConfigurationError, suggest_similar
from continuum_upstash.ratelimit import policy
from continuum_upstash.ratelimit.client_ip import Proxies
from continuum_upstash.ratelimit.policy import Policy
from continuum_upstash.ratelimit.rules import Route, read_routes

C = TypeVar("C")

NAME: Final = "CONTINUUM_RATELIMIT"
HEADERS: Final[tuple[str | None, ...]] = ("ietf", "draft-11", "legacy", "both", None)
MODES: Final[tuple[str, ...]] = ("enforce", "shadow", "off")

DEFAULTS: Final[Mapping[str, Any]] = {
    "ALIAS": "default",
    "POLICIES": {},
    "RULES": (),
    "TRUSTED_PROXIES": (),
    "PROXY_HEADER": "X-Forwarded-For",
    "IPV6_PREFIX": 64,
    "HEADERS": "ietf",
    "MODE": "enforce",
    "DEADLINE": 0.25,
    "INSTANCES": 1,
}


class Conf:
    """What the settings say, each part parsed once.

    Each attribute raises ConfigurationError where its setting is wrong; the system checks say so
    before a request does.
    """

    def forget(self) -> None:
        self.__dict__.clear()

    def value(self, name: str) -> Any:
        given = getattr(settings, NAME, {})
        if not isinstance(given, dict):
            raise ConfigurationError(f"{NAME} is a dict, not {given!r}.")
        return given.get(name, DEFAULTS[name])

    @cached_property
    def alias(self) -> str:
        """The cache whose database counts."""
        return str(self.value("ALIAS"))

    def counts_in(self, alias: str) -> bool:
        """Return whether limits are counted in an alias; where the settings are wrong, nowhere."""
        given = getattr(settings, NAME, None)
        return isinstance(given, dict) and self.alias == alias

    @cached_property
    def policies(self) -> Mapping[str, Policy]:
        given = self.value("POLICIES")
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"POLICIES is a dict of policies by name, not {given!r}.")
        return {name: policy.make(name, options) for name, options in given.items()}

    def policy(self, name: str) -> Policy:
        found = self.policies.get(name)
        if found is None:
            hint = suggest_similar(name, self.policies)
            raise ConfigurationError(f"{NAME} has no policy '{name}'.{hint}")
        return found

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """The rules of the middleware; the first one that fits a request decides."""
        return read_routes(self.value("RULES"), self.policy)

    @cached_property
    def proxies(self) -> Proxies:
        """Whom to believe what they say of a client's address."""
        return Proxies(
            self.value("TRUSTED_PROXIES"), self.value("PROXY_HEADER"), self.value("IPV6_PREFIX")
        )

    @cached_property
    def headers(self) -> str | None:
        return _one_of("HEADERS", self.value("HEADERS"), HEADERS)

    @cached_property
    def mode(self) -> str:
        return _one_of("MODE", self.value("MODE"), MODES)

    @property
    def shadow(self) -> bool:
        """Whether everything is counted and nobody refused."""
        return self.mode == "shadow"

    @cached_property
    def deadline(self) -> float:
        """Seconds that a decision may take; then on_error decides."""
        return _number("DEADLINE", self.value("DEADLINE"), (int, float))

    @cached_property
    def instances(self) -> int:
        """How many processes share what on_error local allows."""
        return int(_number("INSTANCES", self.value("INSTANCES"), (int,)))


def _one_of(name: str, value: Any, choices: tuple[C, ...]) -> C:
    if value not in choices:
        raise ConfigurationError(f"{name} is one of {', '.join(map(repr, choices))}.")
    chosen: C = value
    return chosen


def _number(name: str, value: Any, types: tuple[type, ...]) -> float:
    if type(value) not in types or not 0 < value < inf:
        raise ConfigurationError(f"{name} is a number above 0, not {value!r}.")
    number: float = value
    return number


conf = Conf()


def _forget(*, setting: str, **_: object) -> None:
    if setting == NAME:
        conf.forget()


setting_changed.connect(_forget)
