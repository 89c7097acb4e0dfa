"""What the settings say wrong about limits, told before a request finds out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from django.conf import settings
from django.core.cache import caches
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 Django's name for it

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.plan_cache import PlanCache
from continuum_upstash.ratelimit import policy
from continuum_upstash.ratelimit.conf import DEFAULTS, NAME, conf
from continuum_upstash.ratelimit.policy import Policy


def check_ratelimit(**_: Any) -> list[CheckMessage]:
    """Check ``CONTINUUM_RATELIMIT``, where it is set."""
    if not hasattr(settings, NAME):
        return []
    given = getattr(settings, NAME)
    if not isinstance(given, dict):
        return [_error("E201", "is no dict.", 'Such as {"ALIAS": "default", "POLICIES": {…}}.')]
    if not isinstance(given.get("POLICIES", {}), dict):
        return [_error("E203", "POLICIES is no dict.", 'Such as {"api": {"rate": "100/m"}}.')]
    found = chain(_names(given), _policies(given), _values(), _alias(), _middleware(given))
    return [*found, *_proxies(given)]


def _error(number: str, text: str, hint: str) -> Error:
    return Error(f"{NAME} {text}", hint=hint, id=f"continuum_upstash.{number}")


def _warning(number: str, text: str, hint: str) -> Warning:
    return Warning(f"{NAME} {text}", hint=hint, id=f"continuum_upstash.{number}")


def _names(given: dict[str, Any]) -> Iterator[CheckMessage]:
    for name in given.keys() - DEFAULTS.keys():
        yield _error("E202", f"has an unknown entry {name!r}.", f"It knows {', '.join(DEFAULTS)}.")


def _policies(given: dict[str, Any]) -> Iterator[CheckMessage]:
    by_group: dict[str, Policy] = {}
    for name, options in given.get("POLICIES", {}).items():
        try:
            made = policy.make(name, options)
        except (ConfigurationError, TypeError) as error:
            yield _error("E203", f"POLICIES: {error}", "See docs/how-to/rate-limits.md.")
            continue
        group = made.counter
        other = by_group.setdefault(group, made)
        if (other.algorithm, other.rate.window) != (made.algorithm, made.rate.window):
            yield _error(
                "E204",
                f"POLICIES: '{other.name}' and '{made.name}' share the group '{group}', but count "
                "in different ways.",
                "Give them one algorithm and one window, or groups of their own.",
            )


# Settings that only a site behind a proxy needs.
_PROXIED: Final = ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT")

_PARTS: Final[tuple[tuple[str, str, Callable[[], object]], ...]] = (
    ("E205", "RULES", lambda: conf.routes),
    ("E206", "TRUSTED_PROXIES", lambda: conf.proxies),
    ("E207", "HEADERS", lambda: conf.headers),
    ("E208", "MODE", lambda: conf.mode),
    ("E209", "DEADLINE", lambda: conf.deadline),
    ("E210", "INSTANCES", lambda: conf.instances),
)


def _values() -> Iterator[CheckMessage]:
    for number, name, read in _PARTS:
        try:
            read()
        except (ConfigurationError, TypeError) as error:
            yield _error(number, f"{name}: {error}", f"Correct {NAME}[{name!r}].")


def _alias() -> Iterator[CheckMessage]:
    alias = conf.alias
    if alias not in caches.settings:
        yield _error("E211", f"ALIAS is {alias!r}, which is not in CACHES.", "Name an entry of it.")
        return
    cache = caches[alias]
    if not isinstance(cache, PlanCache):
        yield _error(
            "E212",
            f"ALIAS is {alias!r}, whose BACKEND cannot count.",
            "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend.",
        )
    elif cache.database.config.mode == "local" and not settings.DEBUG:
        yield _warning(
            "W201",
            f"counts in the memory of each process: the cache {alias!r} has no database.",
            "Set its credentials, or limits are as many times as high as there are processes.",
        )


def _proxies(given: dict[str, Any]) -> Iterator[CheckMessage]:
    proxied = next((name for name in _PROXIED if getattr(settings, name)), None)
    if proxied and given.get("POLICIES") and not given.get("TRUSTED_PROXIES"):
        yield _warning(
            "W204",
            f"has no TRUSTED_PROXIES, though {proxied} says that there is a proxy: all who are "
            "counted by address would share its own.",
            "Name the networks of your proxies, or how many there are; silence this where your "
            "server puts the client into REMOTE_ADDR itself.",
        )


def _middleware(given: dict[str, Any]) -> Iterator[CheckMessage]:
    ours = "continuum_upstash.ratelimit.middleware.RateLimitMiddleware"
    users = "django.contrib.auth.middleware.AuthenticationMiddleware"
    order = list(settings.MIDDLEWARE)
    if given.get("RULES") and ours not in order:
        yield _warning(
            "W202", "has RULES that nobody applies.", f"Add {ours!r} to the end of MIDDLEWARE."
        )
    if ours in order and users in order and order.index(ours) < order.index(users):
        yield _warning(
            "W203",
            "counts users, but its middleware stands before the one that knows them.",
            f"Move {ours!r} behind {users!r}.",
        )
