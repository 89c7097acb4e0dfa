"""What a limit will cost, and what it lets pass at worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from continuum_upstash.ratelimit.policy import Policy

MONTH_SECONDS: Final = 30 * 24 * 3600

# EVALSHA, and what runs inside: a read, and what pays the cost. A refusal writes nothing.
_ADMITTED: Final[Mapping[str, int]] = {"strict": 3, "fixed": 3, "sliding": 3, "token_bucket": 4}
_REFUSED: Final = 2


@dataclass(frozen=True, slots=True)
class Forecast:
    """A month under steady traffic of one client after the other.

    Attributes:
        admitted, refused: requests.
        commands: billed by the service, at most: what a process refuses by itself costs nothing.
        worst: the most that passes in any window of the rate's length.
    """

    admitted: int
    refused: int
    commands: int
    worst: int


def forecast(policy: Policy, per_second: float, refused_share: float = 0.0) -> Forecast:
    """Return what a month costs.

    Args:
        policy: whose algorithm counts.
        per_second: requests that are checked, of all clients together.
        refused_share: which part of them exceeds the limit, 0 to 1.
    """
    requests = per_second * MONTH_SECONDS
    refused = round(requests * refused_share)
    admitted = round(requests) - refused
    commands = admitted * _ADMITTED[policy.algorithm] + refused * _REFUSED
    return Forecast(admitted, refused, commands, worst_case(policy))


def worst_case(policy: Policy) -> int:
    """Return the most that passes in any window of the rate's length, however clients try."""
    if policy.algorithm == "strict":
        return policy.limit
    if policy.algorithm == "token_bucket":
        # Full, and one refill before the window ends; it never holds more than it can.
        return policy.limit + min(policy.limit, policy.rate.limit)
    return 2 * policy.limit  # a whole quota at each side of the border
