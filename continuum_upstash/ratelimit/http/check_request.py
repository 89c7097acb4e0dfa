"""From a request to a decision, sync and async; the shared part is a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils.functional import LazyObject

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import EXEMPT, TOO_COSTLY, Decision
from continuum_upstash.ratelimit.engine.limiter import Limiter, TooCostly
from continuum_upstash.ratelimit.engine.script import Charge, Counter
from continuum_upstash.ratelimit.http.identity import Posted, identity
from continuum_upstash.ratelimit.policy import STAFF, Policy


def check_request(
    request: HttpRequest, policies: Iterable[Policy], posted: Posted | None = None
) -> Decision:
    """Decide on a request, and note the decision as ``request.ratelimit``.

    Where `posted` is given, keys by ``post:`` read that in place of the form.
    """
    counting = _counting(request, policies)
    if not counting:
        return _noted(request, EXEMPT)
    user = getattr(request, "user", None) if _asks_user(counting) else None
    limiter = Limiter()
    try:
        charges = _charges(limiter, request, counting, user, posted)
    except TooCostly:
        return _noted(request, TOO_COSTLY)
    decision = limiter.decide(charges) if charges else EXEMPT
    return _noted(request, decision, counting, charges)


async def acheck_request(request: HttpRequest, policies: Iterable[Policy]) -> Decision:
    """The async twin; neither the user nor a function of the request blocks the event loop."""
    counting = _counting(request, policies)
    if not counting:
        return _noted(request, EXEMPT)
    user = await _auser(request) if _asks_user(counting) else None
    limiter = Limiter()
    asked = limiter, request, counting, user
    try:
        if any(policy.calls for policy in counting):
            # What a site's functions ask, if only request.user, may be in its database.
            charges = await sync_to_async(_charges)(*asked)
        else:
            charges = _charges(*asked)
    except TooCostly:
        return _noted(request, TOO_COSTLY)
    decision = await limiter.adecide(charges) if charges else EXEMPT
    return _noted(request, decision, counting, charges)


async def _auser(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    if not isinstance(user, LazyObject):
        return user
    if _is_of_the_session(user) and hasattr(request, "auser"):
        return await request.auser()
    await sync_to_async(bool)(user)  # who it is may be in the database, but is known from now on
    return user


def _is_of_the_session(user: LazyObject[Any]) -> bool:
    """Return whether a user is Django's own, and none that a middleware has put in its place.

    Only of that one does request.auser() say the same without a thread.
    """
    asks = vars(user).get("_setupfunc")
    return getattr(asks, "__module__", "") == "django.contrib.auth.middleware"


def _counting(request: HttpRequest, policies: Iterable[Policy]) -> list[Policy]:
    """Return those that are to be asked: none that a rule or another decorator has asked."""
    if conf.mode == "off":
        return []
    method, asked = request.method or "", _past(request).policies
    return [
        each
        for each in policies
        if each not in asked and (each.methods is None or method in each.methods)
    ]


def _asks_user(policies: Iterable[Policy]) -> bool:
    return any(policy.asks_user for policy in policies)


def _charges(
    limiter: Limiter,
    request: HttpRequest,
    policies: Iterable[Policy],
    user: Any,
    posted: Posted | None = None,
) -> list[Charge]:
    charges, counted = [], _past(request).counters
    for policy in policies:
        if any(_is_exempt(who, request, user) for who in policy.exempt):
            continue
        cost = policy.cost(request) if callable(policy.cost) else policy.cost
        try:
            charge = limiter.charge(policy, identity(policy, request, user, posted), cost)
        except TooCostly:
            if not (policy.shadow or conf.shadow):  # who only watches refuses nobody
                raise
        else:
            # What another policy of its group has charged is not charged again, only looked at.
            charges.append(charge._replace(cost=0) if charge.counter in counted else charge)
    return charges


def _is_exempt(who: Any, request: HttpRequest, user: Any) -> bool:
    if callable(who):
        return bool(who(request))
    if who == STAFF:
        return bool(user is not None and user.is_authenticated and user.is_staff)
    address = conf.proxies.address(request.META)
    return address is not None and address in who


class _Past(NamedTuple):
    """What has been charged for a request.

    Attributes:
        policies: those that have let it pass.
        counters: those that were charged for it.
    """

    policies: tuple[Policy, ...] = ()
    counters: tuple[Counter, ...] = ()


def _past(request: HttpRequest) -> _Past:
    past: _Past = getattr(request, "_ratelimit_past", _Past())
    return past


def _noted(
    request: HttpRequest,
    decision: Decision,
    policies: Iterable[Policy] = (),
    charges: Iterable[Charge] = (),
) -> Decision:
    earlier: Decision = getattr(request, "ratelimit", EXEMPT)
    request.ratelimit = earlier.joined(decision)  # type: ignore[attr-defined]  # ours
    if decision.allowed:  # what one of them refuses is charged to none
        past = _past(request)
        request._ratelimit_past = _Past(  # type: ignore[attr-defined]  # noqa: SLF001 ours
            (*past.policies, *policies), (*past.counters, *(each.counter for each in charges))
        )
    return decision
