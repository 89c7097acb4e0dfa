"""The site's views, as the system checks see them: their routes, and the limits on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from django.conf import settings
from django.urls import LocalePrefixPattern, ResolverMatch, URLPattern, URLResolver, get_resolver

from continuum_upstash.ratelimit.policy import Policy

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
