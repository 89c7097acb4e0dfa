"""`cache_page` with stampede protection: Django's rules for pages, over `get_or_set`.

Django's `CacheMiddleware` decides for which request a stored page may be returned, under which key,
and which response may be stored. Here it runs on a dict, and its reads and writes are sent to the
cache afterwards. Therefore the rules (Vary, Cache-Control, cookies, streams) are always those of
the installed Django.

As in Django, a page has two entries: the names of the headers in its Vary, by URL; and the page, by
URL and the values of these headers. The first entry is kept longer than the second, since without
it the key of a page is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from inspect import signature
from typing import Any, Final, NoReturn, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.cache import CacheMiddleware

from continuum_upstash.cache.base import UpstashBaseCache, get_cache_with
from continuum_upstash.cache.call_keys import TagTemplates
from continuum_upstash.cache.pages.cached_page import CachedPage
from continuum_upstash.plans.effects import Batch, Compute, Plan
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run

V = TypeVar("V", bound=Callable[..., Any])

_METHODS: Final = frozenset({"GET", "HEAD"})
_KEY_PREFIX: Final = "continuum"  # Django's own cache_page stores other values
_HEADERS_SECONDS: Final = 24 * 60 * 60  # how much longer the names of the headers are kept


class _NotStored(Exception):
    """The response of the view may not be stored, or not under the expected key."""


class _Store(dict[str, Any]):
    """What Django's middleware reads and writes.

    Attributes:
        wanted: the keys that it has read and that are not in the dict yet, in order.
        written: what it has stored, by key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[str] = []
        self.written: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self.wanted.append(key)
        return super().get(key, default)

    def set(self, key: str, value: Any, _timeout: object = None) -> None:
        self.written[key] = value


class _Middleware(CacheMiddleware):
    """Django's rules on a dict."""

    def __init__(self, timeout: int, key_prefix: str) -> None:
        super().__init__(_no_view, page_timeout=timeout, key_prefix=key_prefix)
        self.store = _Store()

    @property
    def cache(self) -> BaseCache:
        return cast("BaseCache", self.store)

    def list_wanted(self, request: HttpRequest) -> list[str]:
        """Return the keys that are needed to return a stored page."""
        self.store.wanted.clear()
        self.process_request(request)
        return list(self.store.wanted)


def _no_view(_request: HttpRequest) -> HttpResponseBase:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Options:
    """The arguments of `cache_page`; `protection` are the options of get_or_set."""

    timeout: int
    alias: str
    key_prefix: str
    tags: Sequence[str] | Callable[..., Iterable[str]]
    protection: Mapping[str, float | None]

    @property
    def headers_timeout(self) -> float:
        """How long the names of the headers are kept, in seconds."""
        return self.timeout + (self.protection["grace"] or 0) + _HEADERS_SECONDS

    def find_cache(self) -> BaseCache:
        """
        Raises:
            ImproperlyConfiguredCache: the cache lacks an option that is set.
        """
        names = [name for name, option in self.protection.items() if option is not None]
        return get_cache_with(self.alias, [*names, *(["tags"] if self.tags else [])], "cache_page")


class _PageRequest:
    """One request to a cached view, as a plan for sync and async views.

    Args:
        cache: the cache.
        options: those of the view.
        request: a GET or HEAD request.
        view: calls the view, and renders its response.
        tags: of the page.
        is_async: whether `view` returns an awaitable.
    """

    def __init__(
        self,
        cache: BaseCache,
        options: _Options,
        request: HttpRequest,
        view: Callable[[], Any],
        *,
        tags: tuple[str, ...],
        is_async: bool,
    ) -> None:
        self._cache, self._options, self._is_async = cache, options, is_async
        self._request, self._view = request, view
        self._tags = tags
        self._rules = _Middleware(options.timeout, options.key_prefix)
        self._key = self._headers_key = ""
        self._response: HttpResponseBase | None = None  # the view's, if this call has called it
        self._is_stored = False

    def respond(self) -> Plan[HttpResponseBase]:
        """Return the stored response, or that of the view."""
        rules = self._rules
        (self._headers_key,) = rules.list_wanted(self._request)
        headers = yield self._call("get", self._headers_key)
        if headers is None:
            response: HttpResponseBase = yield Compute(self._view)
            rules.process_response(self._request, response)
            yield from self._store_written()
            return response
        rules.store[self._headers_key] = headers
        *alternatives, self._key = rules.list_wanted(self._request)
        page: CachedPage | None = None
        for key in alternatives:  # HEAD may get the page of GET
            rules.store[key] = page = yield self._call("get", key)
        if page is None:
            try:
                page = yield from self._get_or_set(self._key, self._make_default())
            except _NotStored:
                page = None
        if self._response is None or (page is not None and _is_server_error(self._response)):
            assert page is not None
            return self._restore(page)
        if not self._is_stored:
            if page is not None:
                # The view has no such page any more. Without the first entry, other requests take
                # no lease, and so do not wait for each other.
                yield self._call("delete_many", [self._headers_key, self._key])
            yield from self._store_written()
        return self._response

    def _make_default(self) -> Callable[[], Any]:
        """Return the function that calls the view and returns its page."""

        def compute() -> CachedPage:
            return self._make_page(self._view())

        async def acompute() -> CachedPage:
            return self._make_page(await self._view())

        return acompute if self._is_async else compute

    def _make_page(self, response: HttpResponseBase) -> CachedPage:
        """Return the page of a response.

        Raises:
            _NotStored: it may not be stored, or its Vary has changed.
        """
        self._response, rules = response, self._rules
        rules.process_response(self._request, response)
        expected = {self._headers_key: rules.store[self._headers_key], self._key: response}
        if rules.store.written != expected:
            raise _NotStored(
                f"a response of the view with status {response.status_code} cannot be stored"
            )
        self._is_stored = True
        return CachedPage.from_response(response)

    def _store_written(self) -> Plan[None]:
        """Store what Django's middleware has stored."""
        for key, value in self._rules.store.written.items():
            if isinstance(value, HttpResponseBase):
                yield from self._get_or_set(key, CachedPage.from_response(value))
            else:
                yield self._call("set", key, value, self._options.headers_timeout)

    def _restore(self, page: CachedPage) -> HttpResponseBase:
        store = self._rules.store
        for key in store.wanted:
            store[key] = page.make_response()
        response = self._rules.process_request(self._request)  # adds the header Age
        assert isinstance(response, HttpResponseBase)
        return response

    def _get_or_set(self, key: str, default: CachedPage | Callable[[], Any]) -> Plan[CachedPage]:
        options = self._options
        page: CachedPage | None
        if isinstance(self._cache, UpstashBaseCache):
            page = yield self._call(
                "get_or_set", key, default, options.timeout, tags=self._tags, **options.protection
            )
        else:
            page = yield self._call("get", key)
            if page is None:
                page = (yield Compute(default)) if callable(default) else default
                yield self._call("set", key, page, options.timeout)
        assert page is not None
        return page

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Compute:
        method = getattr(self._cache, f"a{name}" if self._is_async else name)
        return Compute(partial(method, *args, **kwargs))


def _is_server_error(response: HttpResponseBase) -> bool:
    return response.status_code >= 500


def cache_page(
    timeout: float,
    *,
    cache: str | None = None,
    key_prefix: str | None = None,
    early: float | None = None,
    grace: float | None = None,
    wait: float | None = None,
    tags: Sequence[str] | Callable[..., Iterable[str]] = (),
) -> Callable[[V], V]:
    """Cache the responses of a view, sync or async, by Django's rules for `cache_page`.

    Pages are stored compressed and signed, without pickle. `early`, `grace` and `wait` protect the
    view against stampedes, see `CacheBackend.get_or_set`: with `grace`, the old page is also sent
    while the view raises an exception or returns a server error (a status of 500 or more).

    Billed: 2 commands for a request whose page is stored.

    Args:
        timeout: how long a page is fresh, in seconds; at least 1.
        cache: an alias in CACHES; None: the default one.
        key_prefix: distinguishes pages of several sites with one cache.
        early: see `get_or_set`.
        grace: see `get_or_set`; in seconds.
        wait: see `get_or_set`; in seconds.
        tags: templates with the names of the view's arguments, such as ``"article:{pk}"``, or a
            function with the parameters of the view that returns the tags.

    Raises:
        ValueError: the timeout is less than a second.
        ConfigurationError: `tags` is a text, or a tag names no argument of the view.
        ImproperlyConfiguredCache: raised by the view, if `early`, `grace`, `wait` or `tags` is set
            and the cache is not a `CacheBackend`.
    """
    if not timeout >= 1:
        raise ValueError(f"cache_page: the timeout must be at least 1 second, not {timeout!r}.")
    options = _Options(
        timeout=int(timeout),
        alias=cache or DEFAULT_CACHE_ALIAS,
        key_prefix=f"{_KEY_PREFIX}.{key_prefix or ''}",
        tags=tags,
        protection={"early": early, "grace": grace, "wait": wait},
    )

    def decorate(view: V) -> V:
        return cast(
            "V", _wrap_async(view, options) if iscoroutinefunction(view) else _wrap(view, options)
        )

    return decorate


def _wrap(view: Callable[..., Any], options: _Options) -> Callable[..., Any]:
    render_tags = _make_tag_renderer(view, options)

    @wraps(view)
    def respond(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method not in _METHODS:
            return view(request, *args, **kwargs)

        def call_view() -> Any:
            response = view(request, *args, **kwargs)
            return response.render() if _is_unrendered(response) else response

        names = render_tags(request, *args, **kwargs)
        page = _PageRequest(
            options.find_cache(), options, request, call_view, tags=names, is_async=False
        )
        return run(page.respond(), _RUNNER)

    return respond


def _wrap_async(view: Callable[..., Any], options: _Options) -> Callable[..., Any]:
    render_tags = _make_tag_renderer(view, options)

    @wraps(view)
    async def respond(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method not in _METHODS:
            return await view(request, *args, **kwargs)

        async def call_view() -> Any:
            response = await view(request, *args, **kwargs)
            if _is_unrendered(response):
                # As Django's handler does: a template may read from the database.
                return await sync_to_async(response.render, thread_sensitive=True)()
            return response

        names = render_tags(request, *args, **kwargs)
        page = _PageRequest(
            options.find_cache(), options, request, call_view, tags=names, is_async=True
        )
        return await arun(page.respond(), _ASYNC_RUNNER)

    return respond


def _make_tag_renderer(
    view: Callable[..., Any], options: _Options
) -> Callable[..., tuple[str, ...]]:
    """Return a function with the parameters of a view that returns the tags of its page."""
    templates = TagTemplates(options.tags, f"cache_page of {getattr(view, '__qualname__', view)}")
    parameters = signature(view)

    def render_tags(request: HttpRequest, /, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        values: Mapping[str, Any] = {}
        if templates.templates:
            bound = parameters.bind_partial(request, *args, **kwargs)
            bound.apply_defaults()
            values = {**bound.arguments, **kwargs, "request": request}
        return templates.render(values, (request, *args), kwargs)

    return render_tags


def _reject_batch(_batch: Batch) -> NoReturn:
    raise NotImplementedError("the cache's methods send the commands")


_RUNNER: Final = Runner(_reject_batch)
_ASYNC_RUNNER: Final = AsyncRunner(_reject_batch)


def _is_unrendered(response: Any) -> bool:
    return hasattr(response, "render") and callable(response.render)
