"""A throttle for Django REST framework that does not let concurrent requests slip by.

    REST_FRAMEWORK = {
        "DEFAULT_THROTTLE_CLASSES": ["continuum_upstash.ratelimit.drf.UpstashRateThrottle"],
    }

A view names its policies as ``throttle_policies``, or one as ``throttle_scope``; a view without
either has the throttle's own. Several throttles of a view decide together, before the first of them
answers: the framework asks each, whatever the ones before have said, and what one refuses is to be
taken from none.
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


class Unavailable(APIException):  # type: ignore[misc]  # the framework has no types
    """The limiter cannot decide, and the policy's on_error is ``deny``.

    Attributes:
        wait: seconds that the framework puts into Retry-After.
    """

    status_code = 503
    default_detail = "The service is busy."
    default_code = "unavailable"

    def __init__(self, wait: float | None) -> None:
        super().__init__()
        self.wait = wait


class UpstashRateThrottle(BaseThrottle):  # type: ignore[misc]  # the framework has no types
    """
    Attributes:
        policies: names of CONTINUUM_RATELIMIT, for views that name none.
    """

    policies: Sequence[str] = ()

    def __init__(self) -> None:
        self._decision: Decision | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        mine = [conf.policy(name) for name in self.names_of(view)]
        if not mine:
            return True
        self._decision = getattr(request, "_ratelimit_refusal", None)
        if self._decision is not None:
            return False
        asked = request._request  # noqa: SLF001 what the middleware and the decorators see, too
        asked.user = request.user  # whom the framework has authenticated
        together = _with_others(mine, view)
        self._decision = check_request(asked, together, posted=lambda: request.data)
        if self._decision.reason == "too_costly":  # no 429: it would invite to try again
            raise ParseError("The request takes more than is ever allowed at once.")
        if self._decision.reason == "unavailable" and not self._decision.allowed:
            raise Unavailable(self.wait())
        if not self._decision.allowed:
            request._ratelimit_refusal = self._decision  # noqa: SLF001 for the throttles to come
        return self._decision.allowed

    def wait(self) -> float | None:
        """Return the seconds that the framework puts into Retry-After."""
        if self._decision is None or self._decision.allowed:
            return None
        return float(math.ceil(self._decision.retry_after))

    def names_of(self, view: APIView) -> Sequence[str]:
        """Return the names of the policies that a view, or its class, has by this throttle."""
        named: Sequence[str] | None = getattr(view, "throttle_policies", None)
        if named is not None:
            return named
        scope: str | None = getattr(view, "throttle_scope", None)
        return (scope,) if scope else self.policies


def _with_others(mine: Sequence[Policy], view: APIView) -> Sequence[Policy]:
    """Return the policies of a throttle and those that the view's other throttles would add."""
    found = {policy.storage("", ""): policy for policy in mine}
    for throttle in view.get_throttles():
        # One that has conditions of its own is not to be asked past them.
        if getattr(type(throttle), "allow_request", None) is UpstashRateThrottle.allow_request:
            for name in throttle.names_of(view):
                policy = conf.policy(name)
                found.setdefault(policy.storage("", ""), policy)  # two of one are two decisions
    return [*mine, *(policy for policy in found.values() if policy not in mine)]
