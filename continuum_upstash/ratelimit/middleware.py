"""Rate limits by route: the RULES of CONTINUUM_RATELIMIT."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import Decision
from continuum_upstash.ratelimit.http.check_request import acheck_request, check_request
from continuum_upstash.ratelimit.http.headers import set_ratelimit_headers
from continuum_upstash.ratelimit.http.refused_response import (
    abuild_refused_response,
    build_refused_response,
)
from continuum_upstash.ratelimit.policy import Policy
from continuum_upstash.ratelimit.rules import match_rules


class RateLimitMiddleware:
    """Applies the rules, and sets the rate-limit headers of all responses.

    It decides in `process_view`, when the route is resolved: a different spelling of the path
    cannot avoid a rule, and the user is known at any position in MIDDLEWARE.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
            self.process_view: Callable[..., Any] = self._aprocess_view
        else:
            self.process_view = self._process_view

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self._is_async:
            return self._acall(request)
        return _set_headers(request, self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        return _set_headers(request, await self._get_response(request))

    def _process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        policies = _get_policies(request)
        if not policies:
            return None
        decision = check_request(request, policies)
        return None if decision.allowed else build_refused_response(request, decision)

    async def _aprocess_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        policies = _get_policies(request)
        if not policies:
            return None
        decision = await acheck_request(request, policies)
        return None if decision.allowed else await abuild_refused_response(request, decision)


def _get_policies(request: HttpRequest) -> tuple[Policy, ...]:
    match = request.resolver_match
    return match_rules(conf.rules, match) if match is not None else ()


def _set_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    decision = cast("Decision | None", getattr(request, "ratelimit", None))
    return set_ratelimit_headers(response, decision) if decision is not None else response
