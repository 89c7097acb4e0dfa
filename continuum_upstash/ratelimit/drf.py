"""A throttle for Django REST framework that is exact under concurrency.

    REST_FRAMEWORK = {
        "DEFAULT_THROTTLE_CLASSES": ["continuum_upstash.ratelimit.drf.UpstashRateThrottle"],
    }

A view lists its policies in ``throttle_policies``, or names one in ``throttle_scope``; otherwise
the throttle's own policies apply.

The framework calls each throttle of a view, even after one has refused the request. So the first
throttle evaluates the policies of all throttles in one decision: if one denies the request, none is
charged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, ParseError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import Decision
from continuum_upstash.ratelimit.http.check_request import check_request
from continuum_upstash.ratelimit.policy import Policy

if TYPE_CHECKING:  # the framework's views import the throttles of its settings
    from rest_framework.views import APIView


class ThrottleUnavailable(APIException):  # type: ignore[misc]  # the framework has no types
    """The limiter is unavailable, and a policy's on_error is ``deny``: status 503.

    Attributes:
        wait: seconds for the Retry-After header, which the framework sets.
    """

    status_code = 503
    default_detail = "Service temporarily unavailable."
    default_code = "unavailable"

    def __init__(self, wait: float | None) -> None:
        super().__init__()
        self.wait = wait


class UpstashRateThrottle(BaseThrottle):  # type: ignore[misc]  # the framework has no types
    """Limits the requests of a view by policies of CONTINUUM_RATELIMIT.

    Attributes:
        policies: the names of the policies for views that name none.
    """

    policies: Sequence[str] = ()

    def __init__(self) -> None:
        self._decision: Decision | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether the request is allowed; the framework calls this.

        Raises:
            ThrottleUnavailable: the limiter is unavailable, and a policy's on_error is ``deny``.
            ParseError: the cost exceeds the limit, or the body cannot be parsed.
        """
        own = [conf.get_policy(name) for name in self.get_policy_names(view)]
        if not own:
            return True
        self._decision = getattr(request, "_ratelimit_refusal", None)
        if self._decision is not None:
            return False
        http_request = request._request  # noqa: SLF001 the middleware and decorators see this one
        http_request.user = request.user  # as authenticated by the framework
        policies = _include_other_throttles(own, view)
        self._decision = check_request(http_request, policies, get_body=lambda: request.data)
        if self._decision.reason == "too_costly":  # not 429, which invites a retry
            raise ParseError("The request costs more than the rate limit ever allows.")
        if self._decision.reason == "unavailable" and not self._decision.allowed:
            raise ThrottleUnavailable(self.wait())
        if not self._decision.allowed:
            request._ratelimit_refusal = self._decision  # noqa: SLF001 for the other throttles
        return self._decision.allowed

    def wait(self) -> float | None:
        """Return the seconds for the Retry-After header; None: the request was not refused."""
        if self._decision is None or self._decision.allowed:
            return None
        return float(math.ceil(self._decision.retry_after))

    def get_policy_names(self, view: APIView) -> Sequence[str]:
        """Return the names of the policies of this throttle for a view."""
        names: Sequence[str] | None = getattr(view, "throttle_policies", None)
        if names is not None:
            return names
        scope: str | None = getattr(view, "throttle_scope", None)
        return (scope,) if scope else self.policies


def _include_other_throttles(own: Sequence[Policy], view: APIView) -> Sequence[Policy]:
    """Return the policies of a throttle, and those that the view's other throttles would add."""
    # By counter: of policies that share one, only the first belongs to this decision.
    by_counter = {policy.build_key_prefix("", ""): policy for policy in own}
    for throttle in view.get_throttles():
        # A subclass with its own allow_request may have conditions: it decides for itself.
        if getattr(type(throttle), "allow_request", None) is UpstashRateThrottle.allow_request:
            for name in throttle.get_policy_names(view):
                policy = conf.get_policy(name)
                by_counter.setdefault(policy.build_key_prefix("", ""), policy)
    return [*own, *(policy for policy in by_counter.values() if policy not in own)]
