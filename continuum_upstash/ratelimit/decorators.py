"""``@ratelimit``: limits of one view, sync or async; for classes by method_decorator."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse

from continuum_upstash.ratelimit.answers import refusal
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.decision import Decision
from continuum_upstash.ratelimit.headers import tell
from continuum_upstash.ratelimit.policy import Policy, make
from continuum_upstash.ratelimit.requests import acheck_request, check_request

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
        options: those of a policy, for a limit that only this view has. Its counters are the
            view's own unless ``group`` says otherwise.

    Raises:
        ConfigurationError: neither policies nor a rate, or wrong options.
    """

    def decorate(view: View) -> View:
        own = (_own(view, options),) if options or not policies else ()

        def wanted() -> list[Policy]:
            # Looked up by each request: settings are not read while modules are imported.
            named = (conf.policy(each) if isinstance(each, str) else each for each in policies)
            return [*named, *own]

        if iscoroutinefunction(view):

            @wraps(view)
            async def alimited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
                decision = await acheck_request(request, wanted())
                if block and not decision.allowed:
                    return refusal(request, decision)
                return _told(request, await view(request, *args, **kwargs))

            return alimited  # type: ignore[return-value]  # it takes and returns what the view does

        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            decision = check_request(request, wanted())
            if block and not decision.allowed:
                return refusal(request, decision)
            return _told(request, view(request, *args, **kwargs))

        return limited  # type: ignore[return-value]  # as above

    return decorate


def _own(view: Callable[..., Any], options: dict[str, Any]) -> Policy:
    qualname = getattr(view, "__qualname__", type(view).__qualname__)
    name = re.sub(r"[^a-z0-9_-]+", "-", qualname.lower()).strip("-")[-32:]
    group = f"{getattr(view, '__module__', '')}.{qualname}".replace("<", "").replace(">", "")
    return make(name or "view", {"group": group, **options})


def _told(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    decision: Decision = request.ratelimit  # type: ignore[attr-defined]  # set by check_request
    return tell(response, decision)
