"""What clients are told: draft-ietf-httpapi-ratelimit-headers-11, or the old X-RateLimit-*."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from django.http import HttpResponse

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.decision import Decision, Verdict


def tell(response: HttpResponse, decision: Decision) -> HttpResponse:
    """Put the headers of the setting on a response.

    One that shared caches keep gets none: it would tell everybody of one client's quota.
    """
    shown = [verdict for verdict in decision.verdicts if verdict.policy.headers]
    if not shown or "public" in response.get("Cache-Control", ""):
        return response
    if conf.headers in {"ietf", "draft-11", "both"}:
        response["RateLimit-Policy"] = ", ".join(map(_policy, shown))
        response["RateLimit"] = ", ".join(map(_state, shown))
    if conf.headers in {"legacy", "both"}:
        _tell_legacy(response, shown)
    return response


def retry_after(decision: Decision) -> int:
    """Return whole seconds after which the same request is let through."""
    return max(1, math.ceil(decision.retry_after))


def _policy(verdict: Verdict) -> str:
    policy = verdict.policy
    return f'"{policy.name}";q={policy.limit};w={max(1, math.ceil(policy.rate.window / 1000))}'


def _state(verdict: Verdict) -> str:
    return f'"{verdict.policy.name}";r={verdict.remaining};t={math.ceil(verdict.reset_after)}'


def _tell_legacy(response: HttpResponse, shown: Sequence[Verdict]) -> None:
    """The reset is in Unix seconds, as GitHub has it."""
    tightest = min(shown, key=lambda each: (-each.retry_after, each.remaining))
    response["X-RateLimit-Limit"] = str(tightest.policy.limit)
    response["X-RateLimit-Remaining"] = str(tightest.remaining)
    response["X-RateLimit-Reset"] = str(math.ceil(time.time() + tightest.reset_after))
