"""The result of a rate-limit check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from continuum_upstash.ratelimit.policy import Policy

Reason: TypeAlias = Literal[
    "allowed", "limited", "cached", "deny_list", "unavailable", "shadow", "exempt", "too_costly"
]


class Verdict(NamedTuple):
    """The result of one policy.

    Attributes:
        policy: the policy.
        remaining: how much may still be charged now.
        retry_after: seconds until the cost fits; 0: it fits.
        reset_after: seconds until more remains, if nothing is charged meanwhile.
        limit: the policy's limit, or the dynamic limit that replaces it.
    """

    policy: Policy
    remaining: int
    retry_after: float
    reset_after: float
    limit: int


class Decision(NamedTuple):
    """The result of all policies of a request.

    Attributes:
        allowed: whether the request may proceed.
        reason: ``allowed``; ``limited``: refused by the database; ``cached``: refused from memory,
            by an earlier reply of the database; ``deny_list``: the client is on the deny list of
            @upstash/ratelimit; ``unavailable``: the database could not be reached, and on_error
            applied; ``shadow``: allowed, although a shadow policy's limit is
            exceeded; ``exempt``: nothing was counted; ``too_costly``: the cost exceeds the limit
            of a policy, so waiting does not help.
        verdicts: the results of the policies that were evaluated, without shadow policies.
        shadowed: the results of the shadow policies.
        at: Unix milliseconds, by the database's clock.
    """

    allowed: bool
    reason: Reason
    verdicts: tuple[Verdict, ...] = ()
    shadowed: tuple[Verdict, ...] = ()
    at: int = 0

    @property
    def violated(self) -> tuple[Verdict, ...]:
        """The verdicts whose limit is exceeded."""
        return tuple(verdict for verdict in self.verdicts if verdict.retry_after > 0)

    @property
    def retry_after(self) -> float:
        """Seconds until the same request fits, if nothing is charged meanwhile; 0: it fits."""
        return max((verdict.retry_after for verdict in self.verdicts), default=0.0)

    @property
    def tightest(self) -> Verdict | None:
        """The verdict that denies for the longest time, else the one with the least remaining."""
        return min(
            self.verdicts, key=lambda each: (-each.retry_after, each.remaining), default=None
        )

    @property
    def limit(self) -> int | None:
        """The limit of the tightest policy."""
        return self.tightest.limit if self.tightest else None

    @property
    def remaining(self) -> int | None:
        """How much the tightest policy still allows."""
        return self.tightest.remaining if self.tightest else None

    def iter_outcomes(self) -> Iterator[tuple[Policy, Reason]]:
        """Yield the policies that caused the decision, each with its own reason."""
        for verdict in self.verdicts if self.allowed else self.violated:
            yield verdict.policy, "allowed" if self.reason == "shadow" else self.reason
        for verdict in self.shadowed if self.allowed else ():
            yield verdict.policy, "shadow" if verdict.retry_after > 0 else "allowed"

    def merge(self, later: Decision) -> Decision:
        """Return the combination of this decision and a later one on the same request."""
        if self.reason == "exempt":
            return later
        if later.reason == "exempt":
            return self
        return Decision(
            self.allowed and later.allowed,
            later.reason if self.allowed else self.reason,
            _merge_verdicts(self.verdicts, later.verdicts),
            _merge_verdicts(self.shadowed, later.shadowed),
            max(self.at, later.at),
        )


def _merge_verdicts(earlier: Sequence[Verdict], later: Sequence[Verdict]) -> tuple[Verdict, ...]:
    replaced = [verdict.policy for verdict in later]
    return (*(verdict for verdict in earlier if verdict.policy not in replaced), *later)


EXEMPT = Decision(allowed=True, reason="exempt")
COST_EXCEEDS_LIMIT = Decision(allowed=False, reason="too_costly")
