"""Limits by route: the rules of ``CONTINUUM_RATELIMIT["RULES"]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import Decision
from continuum_upstash.ratelimit.http.check_request import acheck_request, check_request
from continuum_upstash.ratelimit.http.headers import tell
from continuum_upstash.ratelimit.http.responses import arefusal, refusal
from continuum_upstash.ratelimit.policy import Policy
from continuum_upstash.ratelimit.rules import first


class RateLimitMiddleware:
    """Refuses what the rules do not allow, and tells clients what remains.

    It decides when the view is known, so that no spelling of a path escapes its rule; all
    middlewares have seen the request by then, so that users are known wherever it stands.
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
        return _told(request, self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        return _told(request, await self._get_response(request))

    def _process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        policies = _policies(request)
        if not policies:
            return None
        decision = check_request(request, policies)
        return None if decision.allowed else refusal(request, decision)

    async def _aprocess_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        policies = _policies(request)
        if not policies:
            return None
        decision = await acheck_request(request, policies)
        return None if decision.allowed else await arefusal(request, decision)


def _policies(request: HttpRequest) -> tuple[Policy, ...]:
    match = request.resolver_match
    return first(conf.routes, match) if match is not None else ()


def _told(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    decision = cast("Decision | None", getattr(request, "ratelimit", None))
    return tell(response, decision) if decision is not None else response
