"""What clients are told: draft-ietf-httpapi-ratelimit-headers-11, or the old X-RateLimit-*."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

from django.http import HttpResponse

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import Decision, Verdict

_REFUSALS: Final = frozenset({429, 503})
_SHARING: Final = frozenset({"public", "max-age", "s-maxage"})


def tell(response: HttpResponse, decision: Decision) -> HttpResponse:
    """Put the headers of the setting on a response.

    One that shared caches keep gets none: it would tell everybody of one client's quota. Nor may
    they keep a refusal.
    """
    if not decision.allowed and response.status_code in _REFUSALS:
        response["Cache-Control"] = "no-store"
    shown = [verdict for verdict in decision.verdicts if verdict.policy.headers]
    if not shown or _may_be_shared(response):
        return response
    if conf.headers in {"ietf", "draft-11", "both"}:
        response["RateLimit-Policy"] = ", ".join(map(_policy, shown))
        response["RateLimit"] = ", ".join(map(_state, shown))
    if conf.headers in {"legacy", "both"}:
        _tell_legacy(response, shown, decision.at / 1000 or time.time())
    return response


def retry_after(decision: Decision) -> int:
    """Return whole seconds after which the same request is let through."""
    return max(1, math.ceil(decision.retry_after))


def _may_be_shared(response: HttpResponse) -> bool:
    said = response.get("Cache-Control", "").lower().split(",")
    directives = {each.strip().partition("=")[0] for each in said}
    return directives.isdisjoint({"private", "no-store"}) and not directives.isdisjoint(_SHARING)


def _policy(verdict: Verdict) -> str:
    policy = verdict.policy
    return f'"{policy.name}";q={policy.limit};w={max(1, math.ceil(policy.rate.window / 1000))}'


def _state(verdict: Verdict) -> str:
    return f'"{verdict.policy.name}";r={verdict.remaining};t={math.ceil(verdict.reset_after)}'


def _tell_legacy(response: HttpResponse, shown: Sequence[Verdict], now: float) -> None:
    """The reset is in Unix seconds, as GitHub has it."""
    tightest = min(shown, key=lambda each: (-each.retry_after, each.remaining))
    response["X-RateLimit-Limit"] = str(tightest.policy.limit)
    response["X-RateLimit-Remaining"] = str(tightest.remaining)
    response["X-RateLimit-Reset"] = str(math.ceil(now + tightest.reset_after))
