"""Checks of CONTINUUM_RATELIMIT, and of the views that it limits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.urls import LocalePrefixPattern, ResolverMatch, URLPattern, URLResolver, get_resolver
from django.utils.translation import gettext

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.conf import DEFAULTS, SETTING, conf
from continuum_upstash.ratelimit.policy import Policy, find_shared_counters, parse_policy

_MIDDLEWARE: Final = "continuum_upstash.ratelimit.middleware.RateLimitMiddleware"
_CACHE_MIDDLEWARE: Final = "django.middleware.cache.UpdateCacheMiddleware"

# Settings that only a site behind a proxy needs.
_PROXY_SETTINGS: Final = (
    "SECURE_PROXY_SSL_HEADER",
    "USE_X_FORWARDED_HOST",
    "USE_X_FORWARDED_PORT",
)

_ENTRIES: Final[tuple[tuple[str, str, Callable[[], object]], ...]] = (
    ("E205", "RULES", lambda: conf.rules),
    ("E206", "TRUSTED_PROXIES", lambda: conf.trusted_proxies),
    ("E207", "HEADERS", lambda: conf.headers),
    ("E208", "MODE", lambda: conf.mode),
    ("E209", "DEADLINE", lambda: conf.deadline),
    ("E210", "INSTANCES", lambda: conf.instances),
)

_Findings: TypeAlias = Iterator[tuple[str, str]]  # the id of a check, and what is wrong


def check_ratelimit(**_: Any) -> list[CheckMessage]:
    """Check CONTINUUM_RATELIMIT, if it is set or a view is limited."""
    return [check_message(check_id, f"{SETTING}: {text}") for check_id, text in _find_mistakes()]


def _find_mistakes() -> _Findings:
    setting = getattr(settings, SETTING, None if hasattr(settings, SETTING) else {})
    if not isinstance(setting, dict):
        yield "E201", gettext("the setting is not a dict.")
        return
    if not hasattr(settings, SETTING) and not any(view.get_limits() for view in list_views()):
        return
    for name in setting.keys() - DEFAULTS.keys():
        text = gettext("unknown entry '{name}'. Valid entries: {valid}.")
        yield "E202", text.format(name=name, valid=", ".join(DEFAULTS))
    if not isinstance(conf.read("POLICIES"), Mapping):
        yield "E203", gettext("POLICIES is not a dict.")
        return
    for check in _CHECKS:
        yield from check()


def _parse_policies() -> list[Policy | Exception]:
    """Return each policy, or its error."""
    results: list[Policy | Exception] = []
    for name, options in conf.read("POLICIES").items():
        try:
            results.append(parse_policy(name, options))
        except (ConfigurationError, TypeError) as error:
            results.append(error)
    return results


def _get_valid_policies() -> list[Policy]:
    return [each for each in _parse_policies() if isinstance(each, Policy)]


def _check_policies() -> _Findings:
    for each in _parse_policies():
        if isinstance(each, Exception):
            yield "E203", f"POLICIES: {each}"


def _check_groups() -> _Findings:
    by_group: dict[str, Policy] = {}
    for each in _get_valid_policies():
        other = by_group.setdefault(each.counter_name, each)
        if (other.algorithm, other.rate.window) != (each.algorithm, each.rate.window):
            text = gettext(
                "POLICIES: '{one}' and '{other}' share the group '{group}', but differ in their "
                "algorithm or window."
            )
            yield "E204", text.format(one=other.name, other=each.name, group=each.counter_name)


def _check_entries() -> _Findings:
    for check_id, name, parse in _ENTRIES:
        try:
            parse()
        except (ConfigurationError, TypeError) as error:
            yield check_id, f"{name}: {error}"


def _check_alias() -> _Findings:
    alias = conf.alias
    if alias not in caches.settings:
        yield "E211", gettext("ALIAS '{alias}' is not in CACHES.").format(alias=alias)
        return
    try:
        cache = caches[alias]
    except (ImproperlyConfigured, InvalidCacheBackendError):
        return  # E002 or a check of Django's reports it
    if not isinstance(cache, UpstashBaseCache):
        text = gettext("ALIAS '{alias}' does not use continuum_upstash.backend.CacheBackend.")
        yield "E212", text.format(alias=alias)
    elif cache.database.config.mode == "local" and not settings.DEBUG:
        text = gettext("ALIAS '{alias}' has no database: each process counts separately.")
        yield "W201", text.format(alias=alias)


def _check_middleware() -> _Findings:
    order = list(settings.MIDDLEWARE)
    if conf.read("RULES") and _MIDDLEWARE not in order:
        text = gettext("RULES is set, but MIDDLEWARE does not contain RateLimitMiddleware.")
        yield "W202", text
    if {_MIDDLEWARE, _CACHE_MIDDLEWARE} <= set(order) and (
        order.index(_MIDDLEWARE) > order.index(_CACHE_MIDDLEWARE)
    ):
        text = gettext(
            "rate-limit headers would be cached: {middleware} comes after UpdateCacheMiddleware."
        )
        yield "W203", text.format(middleware=_MIDDLEWARE)


def _check_proxies() -> _Findings:
    name = next((name for name in _PROXY_SETTINGS if getattr(settings, name)), None)
    if name and conf.read("POLICIES") and not conf.read("TRUSTED_PROXIES"):
        text = gettext(
            "TRUSTED_PROXIES is empty, but {name} indicates a proxy: all clients that are counted "
            "by address would share the proxy's address."
        )
        yield "W204", text.format(name=name)


def _check_policy_names() -> _Findings:
    used = {each for view in list_views() for limits in view.get_limits() for each in limits}
    names = {each for each in used if isinstance(each, str)}
    for name in sorted(names - conf.read("POLICIES").keys()):
        text = gettext("POLICIES has no policy '{name}', but a view refers to it.")
        yield "E213", text.format(name=name)


def _check_shared_counters() -> _Findings:
    by_name = {each.name: each for each in _get_valid_policies()}
    for view in list_views():
        for limits in view.get_limits():
            policies = [by_name.get(each) if isinstance(each, str) else each for each in limits]
            for one, other in find_shared_counters([each for each in policies if each]):
                text = gettext(
                    "'{one}' and '{other}' share a counter, but both apply to {view} at the same "
                    "time."
                )
                names = {"one": one.name, "other": other.name, "view": view.view_name}
                yield "E214", text.format(**names)


def _check_rules() -> _Findings:
    views = list_views()
    if not views or any(view.route is None for view in views):
        return  # no URLconf, or one whose routes depend on the language
    try:
        rules = conf.rules
    except (ConfigurationError, TypeError):
        return  # E205 reports it
    for number, rule in enumerate(rules, 1):
        if not any(rule.matches(view.route, view.view_name) for view in views):
            text = gettext("RULES: rule {number} matches no view of ROOT_URLCONF.")
            yield "W206", text.format(number=number)


_CHECKS: Final = (
    _check_policies,
    _check_groups,
    _check_entries,
    _check_alias,
    _check_middleware,
    _check_proxies,
    _check_policy_names,
    _check_shared_counters,
    _check_rules,
)


# The policies that one decorator or throttle evaluates in one decision.
PolicySet: TypeAlias = tuple["str | Policy", ...]


class UrlconfView(NamedTuple):
    """A view of the URLconf.

    Attributes:
        route: as in ``ResolverMatch.route``; None: it depends on the language.
        view_name: as in ``ResolverMatch.view_name``.
        callback: the callable that the URLconf names.
    """

    route: str | None
    view_name: str
    callback: Callable[..., Any]

    def get_limits(self) -> list[PolicySet]:
        """Return the limits of its decorators and throttles, without the rules."""
        return [*getattr(self.callback, "ratelimits", ()), *self._iter_throttles()]

    def _iter_throttles(self) -> Iterator[PolicySet]:
        drf = sys.modules.get("continuum_upstash.ratelimit.drf")
        view: Any = getattr(self.callback, "cls", None)  # set by the REST framework's as_view()
        if drf is None or view is None:
            return
        for each in _as_list(getattr(view, "throttle_classes", ())):
            if isinstance(each, type) and issubclass(each, drf.UpstashRateThrottle):
                yield tuple(_as_list(each().get_policy_names(view)))


def _as_list(value: Any) -> Sequence[Any]:
    """Return a list that is written in a class; a property has no value before a request."""
    return value if isinstance(value, (list, tuple)) else ()


def list_views() -> list[UrlconfView]:
    """Return the views of ROOT_URLCONF."""
    urlconf = getattr(settings, "ROOT_URLCONF", None)
    return list(_walk(get_resolver(urlconf).url_patterns, "", ())) if urlconf else []


def _walk(
    patterns: Iterable[URLPattern | URLResolver], route: str | None, namespaces: tuple[str, ...]
) -> Iterator[UrlconfView]:
    for each in patterns:
        full_route = _join_route(route, each)
        if isinstance(each, URLResolver):
            inner = (*namespaces, each.namespace) if each.namespace else namespaces
            yield from _walk(each.url_patterns, full_route, inner)
        else:
            match = ResolverMatch(each.callback, (), {}, each.name, namespaces=list(namespaces))
            yield UrlconfView(full_route, match.view_name, each.callback)


def _join_route(route: str | None, each: URLPattern | URLResolver) -> str | None:
    if route is None or isinstance(each.pattern, LocalePrefixPattern):
        return None
    own = str(each.pattern)
    return route + own.removeprefix("^") if route else own
