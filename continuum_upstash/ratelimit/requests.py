"""From a request to a decision, in both colours; what is written once stands in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from continuum_upstash.ratelimit.addresses import parse
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.decision import EXEMPT, TOO_COSTLY, Decision
from continuum_upstash.ratelimit.identity import identity
from continuum_upstash.ratelimit.limiter import Limiter, TooCostly
from continuum_upstash.ratelimit.policy import STAFF, Policy
from continuum_upstash.ratelimit.script import Charge


def check_request(request: HttpRequest, policies: Iterable[Policy]) -> Decision:
    """Decide on a request, and note the decision as ``request.ratelimit``."""
    counting = _counting(request, policies)
    if not counting:
        return _noted(request, EXEMPT)
    user = getattr(request, "user", None) if _asks_user(counting) else None
    limiter = Limiter()
    try:
        charges = _charges(limiter, request, counting, user)
    except TooCostly:
        return _noted(request, TOO_COSTLY)
    return _noted(request, limiter.decide(charges) if charges else EXEMPT)


async def acheck_request(request: HttpRequest, policies: Iterable[Policy]) -> Decision:
    """The async twin; the user is asked for without blocking the event loop."""
    counting = _counting(request, policies)
    if not counting:
        return _noted(request, EXEMPT)
    known = _asks_user(counting) and hasattr(request, "auser")
    user = await request.auser() if known else None
    limiter = Limiter()
    try:
        charges = _charges(limiter, request, counting, user)
    except TooCostly:
        return _noted(request, TOO_COSTLY)
    return _noted(request, await limiter.adecide(charges) if charges else EXEMPT)


def _counting(request: HttpRequest, policies: Iterable[Policy]) -> list[Policy]:
    """Return those that are to be asked: none twice, as where a rule and a decorator name it."""
    if conf.mode == "off":
        return []
    method, earlier = request.method or "", _earlier(request)
    asked = {verdict.policy.counter for verdict in (*earlier.verdicts, *earlier.shadowed)}
    return [
        each
        for each in policies
        if each.counter not in asked and (each.methods is None or method in each.methods)
    ]


def _asks_user(policies: Iterable[Policy]) -> bool:
    return any(policy.asks_user for policy in policies)


def _charges(
    limiter: Limiter, request: HttpRequest, policies: Iterable[Policy], user: Any
) -> list[Charge]:
    charges = []
    for policy in policies:
        if any(_is_exempt(who, request, user) for who in policy.exempt):
            continue
        cost = policy.cost(request) if callable(policy.cost) else policy.cost
        try:
            charges.append(limiter.charge(policy, identity(policy, request, user), cost))
        except TooCostly:
            if not (policy.shadow or conf.shadow):  # who only watches refuses nobody
                raise
    return charges


def _is_exempt(who: Any, request: HttpRequest, user: Any) -> bool:
    if callable(who):
        return bool(who(request))
    if who == STAFF:
        return bool(user is not None and user.is_authenticated and user.is_staff)
    address = parse(conf.proxies.client(request.META).partition("/")[0])
    return address is not None and address in who


def _noted(request: HttpRequest, decision: Decision) -> Decision:
    request.ratelimit = _earlier(request).joined(decision)  # type: ignore[attr-defined]  # ours
    return decision


def _earlier(request: HttpRequest) -> Decision:
    decision: Decision = getattr(request, "ratelimit", EXEMPT)
    return decision
