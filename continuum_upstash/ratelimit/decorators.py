"""``@ratelimit``: limits for one view, sync or async; for classes with method_decorator."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import Decision
from continuum_upstash.ratelimit.http.check_request import acheck_request, check_request
from continuum_upstash.ratelimit.http.headers import set_ratelimit_headers
from continuum_upstash.ratelimit.http.refused_response import (
    abuild_refused_response,
    build_refused_response,
)
from continuum_upstash.ratelimit.policy import Policy, parse_policy

View = TypeVar("View", bound=Callable[..., Any])


def ratelimit(
    *policies: str | Policy, block: bool = True, **options: Any
) -> Callable[[View], View]:
    """Limit a view by named policies, or by a policy of its own.

        @ratelimit("api")
        @ratelimit(rate="20/2s", key="ip", algorithm="strict")

    Args:
        policies: names in CONTINUUM_RATELIMIT, or policies. All of them apply together.
        block: return a 429 response if a limit is exceeded. If False, the view runs and finds the
            decision in ``request.ratelimit``.
        options: the options of a policy for this view only. Unless ``group`` is set, its counters
            depend on the view, the rate, the algorithm, the key and the methods. Its name, for
            example ``search-ip-20-m``, consists of the view, the key and the rate.

    Raises:
        ConfigurationError: there are neither policies nor a rate, or an option is invalid.
    """
    for each in policies:
        if not isinstance(each, (str, Policy)):
            raise ConfigurationError(
                f"@ratelimit requires names of policies, or options, not {each!r}: write "
                '@ratelimit("api") or @ratelimit(rate="100/m").'
            )
    return RateLimitDecorator(policies, options, block=block)


class RateLimitDecorator:
    """The decorator that `ratelimit` returns.

    Args:
        policies, options, block: see `ratelimit`.
        on_decision: called with each request and its decision, before the view runs.
    """

    def __init__(
        self,
        policies: Sequence[str | Policy],
        options: Mapping[str, Any],
        *,
        block: bool,
        on_decision: Callable[[HttpRequest, Decision], None] = lambda *_: None,
    ) -> None:
        self._policies, self._options = policies, options
        self._block, self._on_decision = block, on_decision
        # Kept, because method_decorator decorates the method again for each request.
        self._own_policies: dict[ViewId, Policy] = {}

    def __call__(self, view: View) -> View:
        if isinstance(view, type):
            raise ConfigurationError(
                f"@ratelimit decorates functions. For the class {view.__name__} write "
                '@method_decorator(ratelimit(…), name="dispatch").'
            )
        own = [self._get_own_policy(view)] if self._options or not self._policies else []
        limited: Any = (
            self._wrap_async(view, own) if is_async_view(view) else self._wrap_sync(view, own)
        )
        # For the system checks. Outer decorators copy it, as functools.wraps does.
        limited.ratelimits = [*getattr(view, "ratelimits", ()), (*self._policies, *own)]
        return cast("View", limited)

    def _get_own_policy(self, view: Callable[..., Any]) -> Policy:
        group = self._options.get("group")
        view_id = ViewId("", group) if group else get_view_id(view)
        if view_id not in self._own_policies:
            self._own_policies[view_id] = _build_policy(view_id, self._options)
        return self._own_policies[view_id]

    def _wrap_sync(self, view: Callable[..., Any], own: Sequence[Policy]) -> Callable[..., Any]:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            decision = check_request(_require_request(request), self._get_policies(own))
            self._on_decision(request, decision)
            if self._block and not decision.allowed:
                return build_refused_response(request, decision)
            return _set_headers(request, view(request, *args, **kwargs))

        return wrapper

    def _wrap_async(self, view: Callable[..., Any], own: Sequence[Policy]) -> Callable[..., Any]:
        @wraps(view)
        async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            decision = await acheck_request(_require_request(request), self._get_policies(own))
            self._on_decision(request, decision)
            if self._block and not decision.allowed:
                return await abuild_refused_response(request, decision)
            return _set_headers(request, await view(request, *args, **kwargs))

        return wrapper

    def _get_policies(self, own: Sequence[Policy]) -> list[Policy]:
        # For each request: settings are not read while modules are imported.
        named = (
            conf.get_policy(each) if isinstance(each, str) else each for each in self._policies
        )
        return [*named, *own]


def _require_request(request: HttpRequest) -> HttpRequest:
    if not hasattr(request, "META"):
        raise ConfigurationError(
            "@ratelimit decorates functions whose first argument is a request, not a "
            f"{type(request).__qualname__}. On a method, write @method_decorator(ratelimit(…))."
        )
    return request


def _build_policy(view_id: ViewId, options: Mapping[str, Any]) -> Policy:
    policy = parse_policy(_slugify(str(view_id.name)) or "view", options)
    # A view can have several limits, each with its own name and counters.
    key = _get_key_name(policy).rpartition(".")[2]
    policy = replace(policy, name=_slugify(f"{view_id.name}-{key}-{policy.rate}"))
    if policy.group:
        return policy
    limit = (
        str(policy.rate),
        policy.algorithm,
        _get_key_name(policy),
        sorted(policy.methods or ()),
    )
    digest = blake2b(repr(limit).encode(), digest_size=4).hexdigest()
    path = re.sub(r"[<>]", "", ".".join(filter(None, view_id)))[-180:]
    return replace(policy, group=f"{path}:{digest}")


def _slugify(text: str) -> str:
    """Return the last 32 characters of a text, with only those that a policy's name may have."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).rstrip("-")[-32:].lstrip("-")


def _get_key_name(policy: Policy) -> str:
    """Return a name for a policy's key that is the same in each process."""
    if not callable(policy.key):
        return policy.key
    function = getattr(policy.key, "func", policy.key)  # the function of a partial
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _set_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    decision: Decision = request.ratelimit  # type: ignore[attr-defined]  # set by check_request
    # If a view returns something else, Django raises an error that names the view.
    return set_ratelimit_headers(response, decision) if hasattr(response, "headers") else response


class ViewId(NamedTuple):
    """Identifies a view.

    Attributes:
        module: the dotted path of its module.
        name: the function or class in the module.
        method: of the class; empty: the view is a function.
    """

    module: str
    name: str
    method: str = ""


def get_view_id(view: Callable[..., Any]) -> ViewId:
    """Return what identifies a view.

    Raises:
        ConfigurationError: the view has no name that identifies it.
    """
    view_class = _get_view_class(view)
    if view_class is not None:
        return ViewId(view_class.__module__, view_class.__qualname__, view.__name__)
    name = getattr(view, "__qualname__", "")
    if not name and not hasattr(view, "func"):
        return ViewId(type(view).__module__, type(view).__qualname__, "__call__")
    if not name or "<lambda>" in name:
        raise ConfigurationError(
            "@ratelimit decorates a lambda or a partial, which has no name for its counters. Set "
            'one: @ratelimit(…, group="search").'
        )
    return ViewId(view.__module__, name)


def is_async_view(view: Callable[..., Any]) -> bool:
    """Return whether a view must be awaited."""
    return iscoroutinefunction(view) or bool(getattr(_get_view_class(view), "view_is_async", False))


def _get_view_class(view: Callable[..., Any]) -> type | None:
    """Return the class of as_view(), or of the bound method in method_decorator's partial."""
    instance = getattr(getattr(view, "func", None), "__self__", None)
    if instance is not None:
        return type(instance)
    view_class: type | None = getattr(view, "view_class", None)
    return view_class
