"""What the limiter says of a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from continuum_upstash.ratelimit.policy import Policy

Reason: TypeAlias = Literal[
    "allowed", "limited", "cached", "unavailable", "shadow", "exempt", "too_costly"
]


class Verdict(NamedTuple):
    """What one policy says.

    Attributes:
        remaining: what may still be taken now.
        retry_after: seconds until the cost fits; 0: it does.
        reset_after: seconds until more remains, if nothing is taken meanwhile.
    """

    policy: Policy
    remaining: int
    retry_after: float
    reset_after: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What all policies of a request say together.

    Attributes:
        allowed: whether the request may go on.
        reason: ``allowed``; ``limited`` by the database, or ``cached``: by what it said before;
            ``unavailable``: the database could not be asked, and on_error decided; ``shadow``:
            let through by a policy that only watches; ``exempt``: nothing was counted;
            ``too_costly``: no policy allows so much, however long one waits.
        verdicts: of the policies that were asked.
        shadowed: of the policies that only watch.
        at: Unix milliseconds, by the database's clock.
    """

    allowed: bool
    reason: Reason
    verdicts: tuple[Verdict, ...] = ()
    shadowed: tuple[Verdict, ...] = ()
    at: int = 0

    @property
    def violated(self) -> tuple[Verdict, ...]:
        """The verdicts that refuse."""
        return tuple(verdict for verdict in self.verdicts if verdict.retry_after > 0)

    @property
    def retry_after(self) -> float:
        """Seconds until the same request may go on, if nothing is taken meanwhile; else 0."""
        return max((verdict.retry_after for verdict in self.verdicts), default=0.0)

    @property
    def tightest(self) -> Verdict | None:
        """The policy that will refuse first, or does."""
        return min(
            self.verdicts, key=lambda each: (-each.retry_after, each.remaining), default=None
        )

    @property
    def limit(self) -> int | None:
        return self.tightest.policy.limit if self.tightest else None

    @property
    def remaining(self) -> int | None:
        return self.tightest.remaining if self.tightest else None

    def outcomes(self) -> Iterator[tuple[Policy, Reason]]:
        """Yield the policies that made the decision, and what each of them said."""
        for verdict in self.verdicts if self.allowed else self.violated:
            yield verdict.policy, "allowed" if self.reason == "shadow" else self.reason
        for verdict in self.shadowed if self.allowed else ():
            yield verdict.policy, "shadow" if verdict.retry_after > 0 else "allowed"

    def joined(self, later: Decision) -> Decision:
        """Return what this one and a later one of the same request say together."""
        if self.reason == "exempt":
            return later
        if later.reason == "exempt":
            return self
        return Decision(
            self.allowed and later.allowed,
            later.reason if self.allowed else self.reason,
            _latest(self.verdicts, later.verdicts),
            _latest(self.shadowed, later.shadowed),
            max(self.at, later.at),
        )


def _latest(earlier: Sequence[Verdict], later: Sequence[Verdict]) -> tuple[Verdict, ...]:
    again = [verdict.policy for verdict in later]
    return (*(verdict for verdict in earlier if verdict.policy not in again), *later)


EXEMPT = Decision(allowed=True, reason="exempt")
TOO_COSTLY = Decision(allowed=False, reason="too_costly")
