"""From a request to a decision, sync and async."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils.functional import LazyObject

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import COST_EXCEEDS_LIMIT, EXEMPT, Decision
from continuum_upstash.ratelimit.engine.limiter import CostExceedsLimit, Limiter
from continuum_upstash.ratelimit.engine.script import Charge, Counter
from continuum_upstash.ratelimit.http.identity import GetBody, get_identity, get_listed_values
from continuum_upstash.ratelimit.policy import STAFF, Policy


def check_request(
    request: HttpRequest, policies: Iterable[Policy], get_body: GetBody | None = None
) -> Decision:
    """Decide on a request, and store the decision as ``request.ratelimit``.

    A policy that was already evaluated for the request is skipped, unless `get_body` gives it other
    values to count by. A counter that was already charged is only read.

    Args:
        request: the request.
        policies: they are charged together, or none is.
        get_body: returns the body where keys by ``post:`` are read; None: they read the form.

    Raises:
        ConfigurationError: two policies share a counter, or the limiter's alias is invalid.
    """
    applicable = _select_applicable(request, policies, get_body)
    if not applicable:
        return _record(request, EXEMPT)
    user = getattr(request, "user", None) if _needs_user(applicable) else None
    limiter = Limiter()
    try:
        charges = _build_charges(limiter, request, applicable, user, get_body)
    except CostExceedsLimit:
        return _record(request, COST_EXCEEDS_LIMIT)
    decision = limiter.decide(charges) if charges else EXEMPT
    return _record(request, decision, applicable, charges)


def check_attempt(
    request: HttpRequest, policies: Iterable[Policy], data: Mapping[str, object]
) -> Decision:
    """Decide on one attempt of a request, such as a login, and count the values that it uses.

    A client chooses the method of a request, and may send fields that no code reads. So the method
    does not matter here, and keys by ``post:`` read `data` only. Each attempt of a request is
    charged; what a rule or decorator has charged for the request pays for one attempt.

    Args:
        request: the request.
        policies: they are charged together, or none is.
        data: the validated values by field.

    Raises:
        ConfigurationError: two policies share a counter, or the limiter's alias is invalid.
    """
    policies = list(policies)
    if conf.mode == "off":
        return _record(request, EXEMPT)
    user = getattr(request, "user", None) if _needs_user(policies) else None
    limiter = Limiter()
    try:
        charges = _build_charges(limiter, request, policies, user, lambda: data)
    except CostExceedsLimit:
        return _record(request, COST_EXCEEDS_LIMIT)
    decision = limiter.decide(charges) if charges else EXEMPT
    if decision.allowed:
        earlier, used = _get_charged(request), {charge.counter for charge in charges}
        unused = tuple(each for each in earlier.counters if each not in used)
        request._ratelimit_charged = earlier._replace(counters=unused)  # type: ignore[attr-defined]  # noqa: SLF001 our attribute
    return _record(request, decision)


async def acheck_request(request: HttpRequest, policies: Iterable[Policy]) -> Decision:
    """The async counterpart.

    The event loop is not blocked while the user is loaded or a policy's functions run.
    """
    applicable = _select_applicable(request, policies)
    if not applicable:
        return _record(request, EXEMPT)
    user = await _aget_user(request) if _needs_user(applicable) else None
    limiter = Limiter()
    arguments = limiter, request, applicable, user
    try:
        if any(policy.has_callables for policy in applicable):
            # A site's function may query the database, even if it only reads request.user.
            charges = await sync_to_async(_build_charges)(*arguments)
        else:
            charges = _build_charges(*arguments)
    except CostExceedsLimit:
        return _record(request, COST_EXCEEDS_LIMIT)
    decision = await limiter.adecide(charges) if charges else EXEMPT
    return _record(request, decision, applicable, charges)


async def _aget_user(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    if not isinstance(user, LazyObject):
        return user
    if _is_session_user(user) and hasattr(request, "auser"):
        return await request.auser()
    await sync_to_async(bool)(user)  # loads the user, perhaps from the database
    return user


def _is_session_user(user: LazyObject[Any]) -> bool:
    """Return whether Django's middleware set the user, so that request.auser() returns the same."""
    setup = vars(user).get("_setupfunc")
    return getattr(setup, "__module__", "") == "django.contrib.auth.middleware"


def _select_applicable(
    request: HttpRequest, policies: Iterable[Policy], get_body: GetBody | None = None
) -> list[Policy]:
    """Return the policies for the request's method that have not yet been evaluated for it."""
    if conf.mode == "off":
        return []
    method, evaluated = request.method or "", _get_charged(request).policies
    return [
        each
        for each in policies
        if (each.methods is None or method in each.methods)
        and (each not in evaluated or (get_body is not None and each.reads_body))
    ]


def _needs_user(policies: Iterable[Policy]) -> bool:
    return any(policy.needs_user for policy in policies)


def _build_charges(
    limiter: Limiter,
    request: HttpRequest,
    policies: Iterable[Policy],
    user: Any,
    get_body: GetBody | None = None,
) -> list[Charge]:
    charges, charged = [], _get_charged(request)
    for policy in policies:
        if any(_is_exempt(exempt, request, user) for exempt in policy.exempt):
            continue
        cost = policy.cost(request) if callable(policy.cost) else policy.cost
        identity = get_identity(policy, request, user, get_body)
        try:
            values = () if policy.upstash_prefix is None else get_listed_values(request)
            charge = limiter.build_charge(policy, identity, cost, values)
        except CostExceedsLimit:
            if not (policy.shadow or conf.is_shadow):  # in shadow mode no request is refused
                raise
        else:
            if charge.counter not in charged.counters:
                charges.append(charge)
            elif policy not in charged.policies:  # another policy of the group: only read
                charges.append(charge._replace(cost=0))
    return charges


def _is_exempt(exempt: Any, request: HttpRequest, user: Any) -> bool:
    if callable(exempt):
        return bool(exempt(request))
    if exempt == STAFF:
        return bool(user is not None and user.is_authenticated and user.is_staff)
    address = conf.trusted_proxies.get_client_ip(request.META)
    return address is not None and address in exempt


class _Charged(NamedTuple):
    """What was evaluated and charged for a request.

    Attributes:
        policies: those that allowed it.
        counters: those that were charged.
    """

    policies: tuple[Policy, ...] = ()
    counters: tuple[Counter, ...] = ()


def _get_charged(request: HttpRequest) -> _Charged:
    charged: _Charged = getattr(request, "_ratelimit_charged", _Charged())
    return charged


def _record(
    request: HttpRequest,
    decision: Decision,
    policies: Iterable[Policy] = (),
    charges: Iterable[Charge] = (),
) -> Decision:
    earlier: Decision = getattr(request, "ratelimit", EXEMPT)
    request.ratelimit = earlier.merge(decision)  # type: ignore[attr-defined]  # our attribute
    if decision.allowed:  # a refused request is charged to none
        charged = _get_charged(request)
        request._ratelimit_charged = _Charged(  # type: ignore[attr-defined]  # noqa: SLF001 as above
            (*charged.policies, *policies),
            (*charged.counters, *(each.counter for each in charges)),
        )
    return decision
