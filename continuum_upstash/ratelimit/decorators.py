"""``@ratelimit``: limits of one view, sync or async; for classes by method_decorator."""

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
from continuum_upstash.ratelimit.http.headers import tell
from continuum_upstash.ratelimit.http.responses import arefusal, refusal
from continuum_upstash.ratelimit.policy import Policy, make

View = TypeVar("View", bound=Callable[..., Any])


def ratelimit(
    *policies: str | Policy, block: bool = True, **options: Any
) -> Callable[[View], View]:
    """Limit a view by named policies, or by one of its own.

        @ratelimit("api")
        @ratelimit(rate="20/2s", key="ip", algorithm="strict")

    Args:
        policies: names of CONTINUUM_RATELIMIT, or policies; all of them apply, together.
        block: refuse; otherwise the view finds the decision in ``request.ratelimit``.
        options: those of a policy, for a limit that only this view has. Its counters are this
            limit's and this view's own unless ``group`` says otherwise. Clients and metrics know it
            by the view, the key and the rate: ``search-ip-20-m``.

    Raises:
        ConfigurationError: neither policies nor a rate, or wrong options.
    """
    for each in policies:
        if not isinstance(each, (str, Policy)):
            raise ConfigurationError(
                f"@ratelimit takes names of policies, or options, and not {each!r}: write "
                '@ratelimit("api") or @ratelimit(rate="100/m").'
            )
    return Limiting(policies, options, block=block)


class Limiting:
    """The decorator that `ratelimit` returns.

    Args:
        policies, options, block: as `ratelimit` has them.
        note: called with each request and the decision on it, before the view is.
    """

    def __init__(
        self,
        policies: Sequence[str | Policy],
        options: Mapping[str, Any],
        *,
        block: bool,
        note: Callable[[HttpRequest, Decision], None] = lambda *_: None,
    ) -> None:
        self._policies, self._options = policies, options
        self._block, self._note = block, note
        self._made: dict[Place, Policy] = {}  # method_decorator decorates anew for each request

    def __call__(self, view: View) -> View:
        if isinstance(view, type):
            raise ConfigurationError(
                f"@ratelimit is for functions. In front of the class {view.__name__} write "
                '@method_decorator(ratelimit(…), name="dispatch").'
            )
        own = [self._own(view)] if self._options or not self._policies else []
        limited: Any = self._async(view, own) if is_async(view) else self._sync(view, own)
        # For the system check; further decorators hand it on, as functools.wraps does.
        limited.ratelimits = [*getattr(view, "ratelimits", ()), (*self._policies, *own)]
        return cast("View", limited)

    def _own(self, view: Callable[..., Any]) -> Policy:
        group = self._options.get("group")
        place = Place("", group) if group else place_of(view)
        if place not in self._made:
            self._made[place] = _policy(place, self._options)
        return self._made[place]

    def _sync(self, view: Callable[..., Any], own: Sequence[Policy]) -> Callable[..., Any]:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            decision = check_request(_checked(request), self._wanted(own))
            self._note(request, decision)
            if self._block and not decision.allowed:
                return refusal(request, decision)
            return _told(request, view(request, *args, **kwargs))

        return limited

    def _async(self, view: Callable[..., Any], own: Sequence[Policy]) -> Callable[..., Any]:
        @wraps(view)
        async def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            decision = await acheck_request(_checked(request), self._wanted(own))
            self._note(request, decision)
            if self._block and not decision.allowed:
                return await arefusal(request, decision)
            return _told(request, await view(request, *args, **kwargs))

        return limited

    def _wanted(self, own: Sequence[Policy]) -> list[Policy]:
        # Looked up by each request: settings are not read while modules are imported.
        named = (conf.policy(each) if isinstance(each, str) else each for each in self._policies)
        return [*named, *own]


def _checked(request: HttpRequest) -> HttpRequest:
    if not hasattr(request, "META"):
        raise ConfigurationError(
            f"@ratelimit is for functions of a request, and got a {type(request).__qualname__}: on "
            "a method write @method_decorator(ratelimit(…))."
        )
    return request


def _policy(place: Place, options: Mapping[str, Any]) -> Policy:
    policy = make(_token(str(place.name)) or "view", options)
    # A view may have several limits, each with a name and counters of its own.
    key = _key(policy).rpartition(".")[2]
    policy = replace(policy, name=_token(f"{place.name}-{key}-{policy.rate}"))
    if policy.group:
        return policy
    limit = (str(policy.rate), policy.algorithm, _key(policy), sorted(policy.methods or ()))
    digest = blake2b(repr(limit).encode(), digest_size=4).hexdigest()
    where = re.sub(r"[<>]", "", ".".join(filter(None, place)))[-180:]
    return replace(policy, group=f"{where}:{digest}")


def _token(text: str) -> str:
    """Return what of a text a policy's name may have; the end, which tells the most."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).rstrip("-")[-32:].lstrip("-")


def _key(policy: Policy) -> str:
    """Return the name of a policy's key, the same in each process."""
    if not callable(policy.key):
        return policy.key
    function = getattr(policy.key, "func", policy.key)  # behind a partial
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _told(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    decision: Decision = request.ratelimit  # type: ignore[attr-defined]  # set by check_request
    # Whatever else a view returns, Django says what is wrong with it.
    return tell(response, decision) if hasattr(response, "headers") else response


class Place(NamedTuple):
    """Where a view is defined.

    Attributes:
        module: dotted.
        name: of the function or class within it.
        method: of a class; empty: a function.
    """

    module: str
    name: str
    method: str = ""


def place_of(view: Callable[..., Any]) -> Place:
    """Return where a view is defined.

    Raises:
        ConfigurationError: nowhere that would tell it from others.
    """
    owner = _class_of(view)
    if owner is not None:
        return Place(owner.__module__, owner.__qualname__, view.__name__)
    name = getattr(view, "__qualname__", "")
    if not name and not hasattr(view, "func"):
        return Place(type(view).__module__, type(view).__qualname__, "__call__")
    if not name or "<lambda>" in name:
        raise ConfigurationError(
            "@ratelimit is on a lambda or a partial, which has no name that its counters could "
            'have: give it one as in @ratelimit(…, group="search").'
        )
    return Place(view.__module__, name)


def is_async(view: Callable[..., Any]) -> bool:
    """Return whether a view has to be awaited."""
    return iscoroutinefunction(view) or bool(getattr(_class_of(view), "view_is_async", False))


def _class_of(view: Callable[..., Any]) -> type | None:
    """Return the class behind as_view(), or behind method_decorator: bound, in a partial."""
    bound_to = getattr(getattr(view, "func", None), "__self__", None)
    if bound_to is not None:
        return type(bound_to)
    behind: type | None = getattr(view, "view_class", None)
    return behind
