"""What the settings say wrong about limits, told before a request finds out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.urls import LocalePrefixPattern, ResolverMatch, URLPattern, URLResolver, get_resolver

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.checks.catalogue import message
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit import policy
from continuum_upstash.ratelimit.conf import DEFAULTS, NAME, conf
from continuum_upstash.ratelimit.policy import Policy, clashes

_OURS: Final = "continuum_upstash.ratelimit.middleware.RateLimitMiddleware"
_SITE_CACHE: Final = "django.middleware.cache.UpdateCacheMiddleware"

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

# The number of a finding, and what is wrong.
_Findings: TypeAlias = Iterator[tuple[str, str]]


def check_ratelimit(**_: Any) -> list[CheckMessage]:
    """Check ``CONTINUUM_RATELIMIT``, where it is set or a view is limited."""
    return [message(number, f"{NAME} {text}") for number, text in _findings()]


def _findings() -> _Findings:
    given = getattr(settings, NAME, None if hasattr(settings, NAME) else {})
    if not isinstance(given, dict):
        yield "E201", "is no dict."
        return
    if not hasattr(settings, NAME) and not any(view.limits() for view in views()):
        return
    for name in given.keys() - DEFAULTS.keys():
        yield "E202", f"has an unknown entry {name!r}: it knows {', '.join(DEFAULTS)}."
    if not isinstance(conf.value("POLICIES"), Mapping):
        yield "E203", "POLICIES is no dict."
        return
    for check in _CHECKS:
        yield from check()


def _made() -> list[Policy | Exception]:
    """Return each policy, or what is wrong with it."""
    made: list[Policy | Exception] = []
    for name, options in conf.value("POLICIES").items():
        try:
            made.append(policy.make(name, options))
        except (ConfigurationError, TypeError) as error:
            made.append(error)
    return made


def _sound() -> list[Policy]:
    return [each for each in _made() if isinstance(each, Policy)]


def _policies() -> _Findings:
    for each in _made():
        if isinstance(each, Exception):
            yield "E203", f"POLICIES: {each}"


def _groups() -> _Findings:
    by_group: dict[str, Policy] = {}
    for each in _sound():
        other = by_group.setdefault(each.counter, each)
        if (other.algorithm, other.rate.window) != (each.algorithm, each.rate.window):
            text = f"'{other.name}' and '{each.name}' share the group '{each.counter}'"
            yield "E204", f"POLICIES: {text}, but count in different ways."


def _values() -> _Findings:
    for number, name, read in _PARTS:
        try:
            read()
        except (ConfigurationError, TypeError) as error:
            yield number, f"{name}: {error}"


def _alias() -> _Findings:
    alias = conf.alias
    if alias not in caches.settings:
        yield "E211", f"ALIAS is {alias!r}, which is not in CACHES."
        return
    try:
        cache = caches[alias]
    except (ImproperlyConfigured, InvalidCacheBackendError):
        return  # E002 says why, or Django does
    if not isinstance(cache, UpstashBaseCache):
        yield "E212", f"ALIAS is {alias!r}, whose BACKEND cannot count."
    elif cache.database.config.mode == "local" and not settings.DEBUG:
        text = f"counts in the memory of each process: the cache {alias!r} has no database."
        yield "W201", text


def _middleware() -> _Findings:
    order = list(settings.MIDDLEWARE)
    if conf.value("RULES") and _OURS not in order:
        yield "W202", "has RULES that nobody applies."
    if {_OURS, _SITE_CACHE} <= set(order) and order.index(_OURS) > order.index(_SITE_CACHE):
        yield (
            "W203",
            f"headers get into the cache of the site: {_OURS} stands behind its middleware.",
        )


def _unknown() -> _Findings:
    named = {each for view in views() for limits in view.limits() for each in limits}
    names = {each for each in named if isinstance(each, str)}
    for name in sorted(names - conf.value("POLICIES").keys()):
        yield "E213", f"POLICIES: there is no {name!r}, which a view names."


def _clashes() -> _Findings:
    known = {each.name: each for each in _sound()}
    for view in views():
        for limits in view.limits():
            policies = [known.get(each) if isinstance(each, str) else each for each in limits]
            for one, other in clashes([each for each in policies if each]):
                text = f"'{one.name}' and '{other.name}' share a counter"
                yield "E214", f"{text}, and {view.view_name} is limited by both at once."


def _rules() -> _Findings:
    known = views()
    if not known or any(view.route is None for view in known):
        return  # no URLconf, or one whose routes depend on the language
    try:
        routes = conf.routes
    except (ConfigurationError, TypeError):
        return  # E205 says so
    for number, route in enumerate(routes, 1):
        if not any(route.fits(view.route, view.view_name) for view in known):
            yield "W206", f"RULES: rule {number} fits no view of ROOT_URLCONF."


def _proxies() -> _Findings:
    proxied = next((name for name in _PROXIED if getattr(settings, name)), None)
    if proxied and conf.value("POLICIES") and not conf.value("TRUSTED_PROXIES"):
        text = f"has no TRUSTED_PROXIES, though {proxied} says that there is a proxy"
        yield "W204", f"{text}: all who are counted by address would share its own."


_CHECKS: Final = (
    _policies,
    _groups,
    _values,
    _alias,
    _middleware,
    _proxies,
    _unknown,
    _clashes,
    _rules,
)


# What one decorator or throttle charges together.
Together: TypeAlias = tuple["str | Policy", ...]


class View(NamedTuple):
    """
    Attributes:
        route: as in ``ResolverMatch.route``; None: it depends on the language.
        view_name: as in ``ResolverMatch.view_name``.
        callback: what the URLconf names.
    """

    route: str | None
    view_name: str
    callback: Callable[..., Any]

    def limits(self) -> list[Together]:
        """Return what limits it, but for rules."""
        return [*getattr(self.callback, "ratelimits", ()), *self._throttles()]

    def _throttles(self) -> Iterator[Together]:
        throttles = sys.modules.get("continuum_upstash.ratelimit.drf")
        view: Any = getattr(self.callback, "cls", None)  # as the REST framework notes it
        if throttles is None or view is None:
            return
        for each in _listed(getattr(view, "throttle_classes", ())):
            if isinstance(each, type) and issubclass(each, throttles.UpstashRateThrottle):
                yield tuple(_listed(each().names_of(view)))


def _listed(value: Any) -> Sequence[Any]:
    """Return a list of a class; what its instances work out is not known here."""
    return value if isinstance(value, (list, tuple)) else ()


def views() -> list[View]:
    """Return those of ROOT_URLCONF."""
    urlconf = getattr(settings, "ROOT_URLCONF", None)
    return list(_views(get_resolver(urlconf).url_patterns, "", ())) if urlconf else []


def _views(
    patterns: Iterable[URLPattern | URLResolver], route: str | None, namespaces: tuple[str, ...]
) -> Iterator[View]:
    for each in patterns:
        whole = _joined(route, each)
        if isinstance(each, URLResolver):
            inner = (*namespaces, each.namespace) if each.namespace else namespaces
            yield from _views(each.url_patterns, whole, inner)
        else:
            match = ResolverMatch(each.callback, (), {}, each.name, namespaces=list(namespaces))
            yield View(whole, match.view_name, each.callback)


def _joined(route: str | None, each: URLPattern | URLResolver) -> str | None:
    if route is None or isinstance(each.pattern, LocalePrefixPattern):
        return None
    own = str(each.pattern)
    return route + own.removeprefix("^") if route else own
