"""Rate-limit headers: draft-ietf-httpapi-ratelimit-headers-11, or the older X-RateLimit-*."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

from django.http import HttpResponse

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import Decision, Verdict

_DENIED_STATUSES: Final = frozenset({429, 503})
_PUBLIC_DIRECTIVES: Final = frozenset({"public", "max-age", "s-maxage"})


def set_ratelimit_headers(response: HttpResponse, decision: Decision) -> HttpResponse:
    """Set the headers that ``CONTINUUM_RATELIMIT["HEADERS"]`` selects, and return the response.

    A response that shared caches may store gets none, since they would show one client's quota to
    all. A refused request gets ``Cache-Control: no-store``.
    """
    if not decision.allowed and response.status_code in _DENIED_STATUSES:
        response["Cache-Control"] = "no-store"
    verdicts = [verdict for verdict in decision.verdicts if verdict.policy.headers]
    if not verdicts or _is_publicly_cacheable(response):
        return response
    if conf.headers in {"ietf", "draft-11", "both"}:
        response["RateLimit-Policy"] = ", ".join(map(_format_policy, verdicts))
        response["RateLimit"] = ", ".join(map(_format_state, verdicts))
    if conf.headers in {"legacy", "both"}:
        _set_legacy_headers(response, verdicts, decision.at / 1000 or time.time())
    return response


def get_retry_after(decision: Decision) -> int:
    """Return the whole seconds, at least 1, after which the same request is allowed."""
    return max(1, math.ceil(decision.retry_after))


def _is_publicly_cacheable(response: HttpResponse) -> bool:
    values = response.get("Cache-Control", "").lower().split(",")
    directives = {value.strip().partition("=")[0] for value in values}
    return directives.isdisjoint({"private", "no-store"}) and not directives.isdisjoint(
        _PUBLIC_DIRECTIVES
    )


def _format_policy(verdict: Verdict) -> str:
    policy = verdict.policy
    return f'"{policy.name}";q={verdict.limit};w={max(1, math.ceil(policy.rate.window / 1000))}'


def _format_state(verdict: Verdict) -> str:
    return f'"{verdict.policy.name}";r={verdict.remaining};t={math.ceil(verdict.reset_after)}'


def _set_legacy_headers(response: HttpResponse, verdicts: Sequence[Verdict], now: float) -> None:
    """Set X-RateLimit-*, with the reset in Unix seconds as in GitHub's API."""
    tightest = min(verdicts, key=lambda each: (-each.retry_after, each.remaining))
    response["X-RateLimit-Limit"] = str(tightest.limit)
    response["X-RateLimit-Remaining"] = str(tightest.remaining)
    response["X-RateLimit-Reset"] = str(math.ceil(now + tightest.reset_after))
