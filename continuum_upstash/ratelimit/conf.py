"""``CONTINUUM_RATELIMIT``, read when it is needed, so that tests can override it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from math import inf
from typing import Any, Final, TypeVar

from django.conf import settings
from django.core.signals import setting_changed

from continuum_upstash.errors import ConfigurationError, suggest_similar
from continuum_upstash.ratelimit.client_ip import TrustedProxies
from continuum_upstash.ratelimit.policy import Policy, parse_policy
from continuum_upstash.ratelimit.rules import Rule, parse_rules

C = TypeVar("C")

SETTING: Final = "CONTINUUM_RATELIMIT"
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
    "INSTANCES": None,
}


class RateLimitSettings:
    """The entries of the setting, each parsed once.

    An attribute raises ConfigurationError if its entry is invalid; the system checks report that
    before a request does.
    """

    def clear(self) -> None:
        """Read the setting again when it is needed next."""
        self.__dict__.clear()

    def read(self, name: str) -> Any:
        """Return the value of an entry, or its default."""
        setting = getattr(settings, SETTING, {})
        if not isinstance(setting, dict):
            raise ConfigurationError(f"{SETTING} must be a dict, not {setting!r}.")
        return setting.get(name, DEFAULTS[name])

    @cached_property
    def alias(self) -> str:
        """The cache whose database stores the counters."""
        return str(self.read("ALIAS"))

    def has_counters_in(self, alias: str) -> bool:
        """Return whether the counters are stored in an alias; False if the setting is invalid."""
        setting = getattr(settings, SETTING, None)
        return isinstance(setting, dict) and self.alias == alias

    @cached_property
    def policies(self) -> Mapping[str, Policy]:
        """The policies by name."""
        policies = self.read("POLICIES")
        if not isinstance(policies, Mapping):
            raise ConfigurationError(f"POLICIES must be a dict by name, not {policies!r}.")
        return {name: parse_policy(name, options) for name, options in policies.items()}

    def get_policy(self, name: str) -> Policy:
        """Return the policy of a name.

        Raises:
            ConfigurationError: there is none.
        """
        policy = self.policies.get(name)
        if policy is None:
            hint = suggest_similar(name, self.policies)
            raise ConfigurationError(f"{SETTING} has no policy '{name}'.{hint}")
        return policy

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the middleware; the first one that matches a request applies."""
        return parse_rules(self.read("RULES"), self.get_policy)

    @cached_property
    def trusted_proxies(self) -> TrustedProxies:
        """The proxies whose header gives the address of the client."""
        return TrustedProxies(
            self.read("TRUSTED_PROXIES"), self.read("PROXY_HEADER"), self.read("IPV6_PREFIX")
        )

    @cached_property
    def headers(self) -> str | None:
        """The form of the rate-limit headers, one of `HEADERS`."""
        return _validate_choice("HEADERS", self.read("HEADERS"), HEADERS)

    @cached_property
    def mode(self) -> str:
        """One of `MODES`."""
        return _validate_choice("MODE", self.read("MODE"), MODES)

    @property
    def is_shadow(self) -> bool:
        """Whether all requests are counted and none is refused."""
        return self.mode == "shadow"

    @cached_property
    def deadline(self) -> float:
        """Seconds that a check may take; after that, on_error applies."""
        return _validate_number("DEADLINE", self.read("DEADLINE"), (int, float))

    @cached_property
    def instances(self) -> int:
        """The number of processes that share the limit of on_error ``local``.

        By default WEB_CONCURRENCY, which gunicorn, uvicorn and Heroku use, or 2 if it is not set: a
        process that does not know of others allows half of the limit.
        """
        value = self.read("INSTANCES")
        if value is None:
            workers = os.environ.get("WEB_CONCURRENCY", "")
            value = int(workers) if re.fullmatch(r"[1-9][0-9]{0,3}", workers) else 2
        return int(_validate_number("INSTANCES", value, (int,)))

    @cached_property
    def identity_hasher(self) -> blake2b:
        """The hash of no identity, keyed with SECRET_KEY."""
        return _make_identity_hasher(settings.SECRET_KEY)


def _make_identity_hasher(secret: str | bytes) -> blake2b:
    secret_bytes = secret.encode() if isinstance(secret, str) else secret
    return blake2b(digest_size=16, key=blake2b(secret_bytes, person=b"ratelimit").digest())


def _validate_choice(name: str, value: Any, choices: tuple[C, ...]) -> C:
    if value not in choices:
        valid = ", ".join(map(repr, choices))
        raise ConfigurationError(f"{name} must be one of {valid}, not {value!r}.")
    choice: C = value
    return choice


def _validate_number(name: str, value: Any, types: tuple[type, ...]) -> float:
    if type(value) not in types or not 0 < value < inf:
        raise ConfigurationError(f"{name} must be a number above 0, not {value!r}.")
    number: float = value
    return number


conf = RateLimitSettings()


def _on_setting_changed(*, setting: str, **_: object) -> None:
    if setting in {SETTING, "SECRET_KEY"}:
        conf.clear()


setting_changed.connect(_on_setting_changed)
