"""The monthly cost of a policy, and the most that it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from continuum_upstash.ratelimit.policy import Policy

MONTH_SECONDS: Final = 30 * 24 * 3600

# The billed commands: EVALSHA and those inside the script, a read and what charges the cost. A
# refused request writes nothing.
_BILLED_IF_ADMITTED: Final[Mapping[str, int]] = {
    "strict": 3,
    "fixed": 3,
    "sliding": 3,
    "token_bucket": 4,
}
_BILLED_IF_REFUSED: Final = 2


@dataclass(frozen=True, slots=True)
class Simulation:
    """A month of constant traffic.

    Attributes:
        admitted, refused: requests.
        commands: the billed commands at most; refusals from memory are free.
        worst: the most that is allowed in any window of the rate's length.
    """

    admitted: int
    refused: int
    commands: int
    worst: int


def simulate(policy: Policy, per_second: float, refused_share: float = 0.0) -> Simulation:
    """Return the result of a month.

    Args:
        policy: the policy to simulate.
        per_second: checked requests of all clients together.
        refused_share: the share of them that exceeds the limit, 0 to 1.
    """
    requests = per_second * MONTH_SECONDS
    refused = round(requests * refused_share)
    admitted = round(requests) - refused
    # A shared token bucket also reads its dynamic limit; an event is a write.
    extra = policy.analytics + (
        policy.upstash_prefix is not None and policy.algorithm == "token_bucket"
    )
    commands = admitted * (_BILLED_IF_ADMITTED[policy.algorithm] + extra)
    commands += refused * (_BILLED_IF_REFUSED + extra)
    return Simulation(admitted, refused, commands, compute_worst_case(policy))


def compute_worst_case(policy: Policy) -> int:
    """Return the most that a policy allows in any window of its rate's length."""
    if policy.algorithm == "strict":
        return policy.limit
    if policy.algorithm == "token_bucket":
        # A full bucket, and one refill before the window ends, at most up to the capacity.
        return policy.limit + min(policy.limit, policy.rate.limit)
    return 2 * policy.limit  # the limit at the end of a window, and again in the next one
