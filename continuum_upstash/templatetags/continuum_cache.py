"""``{% load continuum_cache %}``: template fragments with stampede protection and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from django.core.cache import BaseCache, InvalidCacheBackendError
from django.core.cache.utils import make_template_fragment_key
from django.template import Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token, token_kwargs

from continuum_upstash.cache.base import UpstashBaseCache, get_cache_with
from continuum_upstash.errors import suggest_similar

register = Library()

_OPTIONS: Final = ("early", "grace", "wait", "tags", "using")
_DEFAULT_ALIASES: Final = ("template_fragments", "default")  # as in Django's tag


class CachedNode(Node):
    """A fragment that is rendered if the cache does not have it."""

    def __init__(
        self,
        nodelist: NodeList,
        timeout: FilterExpression,
        name: str,
        vary_on: Sequence[FilterExpression],
        options: Mapping[str, FilterExpression],
    ) -> None:
        self.nodelist = nodelist
        self._timeout, self._name = timeout, name
        self._vary_on, self._options = vary_on, options

    def render(self, context: Any) -> Any:
        timeout = _to_seconds("timeout", self._timeout.resolve(context))
        options = {name: each.resolve(context) for name, each in self._options.items()}
        cache = _find_cache(options.pop("using", None), options)
        for name in options.keys() - {"tags"}:
            options[name] = _to_seconds(name, options[name])
        if isinstance(options.get("tags"), str):
            options["tags"] = [tag for each in options["tags"].split(",") if (tag := each.strip())]
        key = make_template_fragment_key(
            self._name, [each.resolve(context) for each in self._vary_on]
        )
        if not isinstance(cache, UpstashBaseCache):
            return cache.get_or_set(key, lambda: self.nodelist.render(context), timeout)
        get_or_set = cast("Any", cache).get_or_set
        return get_or_set(key, lambda: self.nodelist.render(context), timeout, **options)


def _to_seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        raise TemplateSyntaxError(f'"cached" tag: {name} is not a number: {value!r}') from None


def _find_cache(alias: str | None, options: Mapping[str, Any]) -> BaseCache:
    for name in _DEFAULT_ALIASES if alias is None else (alias,):
        with suppress(InvalidCacheBackendError):
            return get_cache_with(name, sorted(options), '"cached" tag')
    raise TemplateSyntaxError(f'"cached" tag: CACHES has no entry {alias!r}')


@register.tag("cached")
def parse_cached(parser: Parser, token: Token) -> CachedNode:
    """Cache a template fragment, as Django's ``cache`` tag does, with options of `get_or_set`.

    ::

        {% load continuum_cache %}
        {% cached 300 sidebar user.id early=1 grace=3600 tags="user:7,menu" using="default" %}
            …
        {% endcached %}

    The key is that of ``make_template_fragment_key("sidebar", [user.id])``. `tags` is a list or a
    text with commas.
    """
    nodelist = parser.parse(("endcached",))
    parser.delete_first_token()
    _, *words = token.split_contents()
    if len(words) < 2:
        raise TemplateSyntaxError('"cached" tag requires a timeout and the name of the fragment.')
    timeout, name, *rest = words
    vary_on: list[FilterExpression] = []
    options: dict[str, FilterExpression] = {}
    for word in rest:
        found = token_kwargs([word], parser)
        if not found:
            vary_on.append(parser.compile_filter(word))
        elif not found.keys() <= set(_OPTIONS):
            (unknown,) = found
            hint = suggest_similar(unknown, _OPTIONS)
            raise TemplateSyntaxError(f'"cached" tag: unknown option {unknown}.{hint}')
        options.update(found)
    fragment = name[1:-1] if name[0] in "\"'" and name[0] == name[-1] else name
    return CachedNode(nodelist, parser.compile_filter(timeout), fragment, vary_on, options)
