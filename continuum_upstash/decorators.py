"""Decorators: `cached` for functions and methods, `cache_page` for views, sync and async."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.cache import BaseCache, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from continuum_upstash.cache.base import UpstashBaseCache, get_cache_with
from continuum_upstash.cache.call_keys import BoundCall, CallKeys, Variants
from continuum_upstash.cache.pages.page_cache import cache_page
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.plans.timeouts import Timeout

__all__ = ["cache_page", "cached"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

_MISSING: Final = object()


def cached(
    function: None = None,
    /,
    *,
    timeout: Timeout = DEFAULT_TIMEOUT,
    key: str | Callable[..., str] | None = None,
    early: float | None = None,
    grace: float | None = None,
    wait: float | None = None,
    tags: Sequence[str] | Callable[..., Iterable[str]] = (),
    cache_none: bool = True,
    vary_on_user: bool = False,
    vary_on_language: bool = False,
    vary_on: Callable[..., object] | None = None,
    using: str = "default",
    version: int | None = None,
) -> CachedDecorator:
    """Cache the results of a function or method, sync or async.

        @cached(timeout=300, key="report:{user_id}", grace=3600, tags=("user:{user_id}",))
        def report(user_id: int) -> list[Row]: ...

    The decorated function has the methods `invalidate`, `ainvalidate`, `refresh` and `cache_key`,
    with the parameters of the function. The cache is looked up at each call.

    Billed: as `CacheBackend.get_or_set` with the same options.

    Args:
        function: never passed: the decorator is written with parentheses, ``@cached()``.
        timeout: seconds, as in ``cache.set``. Without it, TTL_BY_PREFIX or TIMEOUT applies.
        key: a template with the names of arguments, or a function with the same parameters that
            returns the key. Without it, the key consists of the module, the name and all arguments
            with their types; `self` must then be a model instance or a dataclass.
        early: see `CacheBackend.get_or_set`.
        grace: see `CacheBackend.get_or_set`.
        wait: see `CacheBackend.get_or_set`.
        tags: templates with the names of arguments, or a function with the same parameters that
            returns the tags. ``cache.delete_tags`` invalidates all results with one of them.
        cache_none: store None as other results are; if False, the next call calls the function.
        vary_on_user: a result for each user, from the argument `user` or the user of `request`.
        vary_on_language: a result for each language (Django's active translation).
        vary_on: a function with the same parameters; a result for each value that it returns.
        using: an alias in CACHES.
        version: of the key; None: VERSION.

    Raises:
        ConfigurationError: when decorating, if an option does not fit the function; at a call, if
            an argument has no stable text for the key, or if early, grace, wait or tags are set and
            the cache is not a `CacheBackend`.
    """
    if function is not None:
        raise ConfigurationError(
            "@cached is written with parentheses, and its options have names: @cached() or "
            "@cached(timeout=300)."
        )
    storage = CallStorage(timeout, early, grace, wait, cache_none, using, version)
    variants = Variants(vary_on_user, vary_on_language, vary_on)
    return CachedDecorator(
        storage, lambda function: CallKeys(function, key=key, tags=tags, variants=variants)
    )


class CachedDecorator:
    """The decorator that `cached` returns."""

    def __init__(
        self, storage: CallStorage, make_keys: Callable[[Callable[..., object]], CallKeys]
    ) -> None:
        self._storage, self._make_keys = storage, make_keys

    def __call__(self, function: Callable[P, R], /) -> CachedFunction[P, R]:
        plain: Any = function
        kind = type(plain) if isinstance(plain, (classmethod, staticmethod)) else None
        if kind:
            plain = plain.__func__
        has_name = callable(plain) and hasattr(plain, "__qualname__")
        if isinstance(plain, type) or not has_name:
            raise ConfigurationError(
                f"@cached decorates functions and methods, not a {type(plain).__qualname__}. "
                "Classes, partials and callable objects have no name for keys: write a function."
            )
        if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
            raise ConfigurationError(
                f"@cached on {plain.__qualname__}: a generator cannot be stored. Return a list."
            )
        is_async = iscoroutinefunction(plain)
        decorated = _AsyncCachedFunction if is_async else CachedFunction
        return decorated(plain, self._make_keys(plain), self._storage, kind)


class _Call(Generic[R]):
    """One call of a decorated function: its key and tags, and the function that computes it.

    Attributes:
        owner: the decorated function, for messages.
        key: without prefix and version.
        tags: each once.
    """

    def __init__(self, function: Callable[..., R], keys: CallKeys, bound: BoundCall) -> None:
        self._function, self._bound = function, bound
        self.owner = keys.owner
        self.key, self.tags = keys.make_key(bound), keys.make_tags(bound)
        self._error: Exception | None = None
        self._traceback: TracebackType | None = None

    def compute(self) -> R:
        try:
            return self._function(*self._bound.args, **self._bound.kwargs)
        except Exception as error:
            self._record(error)
            raise

    async def acompute(self) -> Any:
        """Async `compute`, for an async function."""
        try:
            return await cast("Any", self._function)(*self._bound.args, **self._bound.kwargs)
        except Exception as error:
            self._record(error)
            raise

    def _record(self, error: Exception) -> None:
        traceback = error.__traceback__
        self._error, self._traceback = error, traceback and traceback.tb_next

    def clean_traceback(self, error: Exception) -> None:
        """Remove the frames of this package from an error that the function has raised."""
        if error is self._error:
            error.__traceback__ = self._traceback

    def release_error(self) -> None:
        """Break the reference cycle: the frames of the traceback refer to this call."""
        self._error = self._traceback = None


@dataclass(frozen=True, slots=True)
class CallStorage:
    """Where and how results are stored; see `cached`."""

    timeout: Timeout
    early: float | None
    grace: float | None
    wait: float | None
    cache_none: bool
    using: str
    version: int | None

    def find_cache(self, call: _Call[Any]) -> BaseCache:
        """
        Raises:
            ConfigurationError: the cache lacks an option that is set.
        """
        options = {"early": self.early, "grace": self.grace, "wait": self.wait}
        names = [name for name, option in options.items() if option is not None]
        names += ["tags"] if call.tags else []
        return get_cache_with(self.using, names, call.owner)

    def get_or_compute(self, call: _Call[R], *, force: bool = False) -> R:
        cache = self.find_cache(call)
        if isinstance(cache, UpstashBaseCache):
            options = self._get_options(call, force)
            value: Any = cast("Any", cache).get_or_set(call.key, call.compute, **options)
            return cast("R", value)
        value = _MISSING if force else cache.get(call.key, _MISSING, self.version)
        if value is _MISSING:
            value = call.compute()
            if value is not None or self.cache_none:
                cache.set(call.key, value, self.timeout, self.version)
        return cast("R", value)

    async def aget_or_compute(self, call: _Call[Any], *, force: bool = False) -> Any:
        cache = self.find_cache(call)
        if isinstance(cache, UpstashBaseCache):
            options = self._get_options(call, force)
            return await cast("Any", cache).aget_or_set(call.key, call.acompute, **options)
        value = _MISSING if force else await cache.aget(call.key, _MISSING, self.version)
        if value is _MISSING:
            value = await call.acompute()
            if value is not None or self.cache_none:
                await cache.aset(call.key, value, self.timeout, self.version)
        return value

    def _get_options(self, call: _Call[Any], force: bool) -> dict[str, Any]:
        return {
            "timeout": self.timeout,
            "version": self.version,
            "early": self.early,
            "grace": self.grace,
            "wait": self.wait,
            "tags": call.tags,
            "cache_none": self.cache_none,
            "force": force,
        }


class CachedFunction(Generic[P, R]):
    """A function whose results are cached; see `cached`. It has the parameters of the function.

    If the function is async, calls of this object and of `refresh` are awaited.
    """

    def __init__(
        self, function: Callable[P, R], keys: CallKeys, storage: CallStorage, kind: type | None
    ) -> None:
        update_wrapper(self, function)
        self._function, self._keys, self._storage = function, keys, storage
        self._kind = kind
        self._first: tuple[Any, ...] = ()  # the instance or class of a method

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._call((*self._first, *args), kwargs, force=False)

    def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, store its result and return it.

        Billed: 1 command; with tags 2, and 1 for each tag that is new or was deleted.
        """
        return self._call((*self._first, *args), kwargs, force=True)

    def cache_key(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call, without prefix and version. Billed: nothing."""
        return self._keys.make_key(self._keys.bind((*self._first, *args), kwargs))

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Delete the result of a call; return whether there was one. Billed: 1 command."""
        key = self._keys.make_key(self._keys.bind((*self._first, *args), kwargs))
        return caches[self._storage.using].delete(key, self._storage.version)

    async def ainvalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Async `invalidate`: return whether there was a result. Billed: 1 command."""
        key = self._keys.make_key(await self._keys.abind((*self._first, *args), kwargs))
        return await caches[self._storage.using].adelete(key, self._storage.version)

    def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, force: bool) -> R:
        call = _Call[R](self._function, self._keys, self._keys.bind(args, kwargs))
        try:
            return self._storage.get_or_compute(call, force=force)
        except Exception as error:
            call.clean_traceback(error)
            raise
        finally:
            call.release_error()

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedFunction[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Return the method of an instance, or of the class if this is a classmethod."""
        if self._kind is classmethod:
            instance = owner or type(instance)
        if instance is None or self._kind is staticmethod:
            return self
        method = object.__new__(type(self))
        method.__dict__.update(
            self.__dict__, _first=(instance,), __signature__=self._keys.bound_signature
        )
        return method

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle and copy by name, as functions and methods are."""
        if self._first:
            return getattr, (*self._first, self._function.__name__)
        return self._function.__qualname__

    def __repr__(self) -> str:
        return f"<cached {self._keys.name}>"


class _AsyncCachedFunction(CachedFunction[P, Any]):
    """An async function whose results are cached."""

    def __init__(
        self, function: Callable[P, Any], keys: CallKeys, storage: CallStorage, kind: type | None
    ) -> None:
        super().__init__(function, keys, storage, kind)
        markcoroutinefunction(self)

    async def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, force: bool) -> Any:
        call = _Call[Any](self._function, self._keys, await self._keys.abind(args, kwargs))
        try:
            return await self._storage.aget_or_compute(call, force=force)
        except Exception as error:
            call.clean_traceback(error)
            raise
        finally:
            call.release_error()
