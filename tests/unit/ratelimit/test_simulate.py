"""The costs and the worst case that `manage.py ratelimit simulate` prints."""

from __future__ import annotations

import pytest

from continuum_upstash.ratelimit.engine.simulate import compute_worst_case, simulate
from continuum_upstash.ratelimit.policy import parse_policy


@pytest.mark.parametrize(
    ("algorithm", "worst", "commands"),
    [("strict", 5, 3), ("fixed", 10, 3), ("sliding", 10, 3), ("token_bucket", 10, 4)],
)
def test_a_simulation_counts_the_billed_commands(algorithm, worst, commands):
    policy = parse_policy("p", {"rate": "5/m", "algorithm": algorithm})
    month = simulate(policy, per_second=1.0)
    assert (month.worst, month.commands) == (worst, commands * month.admitted)
    assert compute_worst_case(policy) == worst
