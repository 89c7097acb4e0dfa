"""The options of a policy, and what is wrong with invalid ones."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.policy import make


async def run_async(_request):
    return 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "has no rate"),
        ({"rate": "much"}, "A rate reads like"),
        ({"rate": "1/m", "algoritm": "fixed"}, "Did you mean algorithm?"),
        ({"rate": "1/m", "algorithm": "leaky"}, "algorithm is one of strict"),
        ({"rate": "1/m", "key": "address"}, "'address' is none of these"),
        ({"rate": "1/m", "key": "ip+header:"}, "'header:' is none of these"),
        ({"rate": "1/m", "cost": 2}, "cost is a whole number between 1 and"),
        ({"rate": "1/m", "cost": 0.5}, "cost is a whole number"),
        ({"rate": "1/m", "key": 5}, "'5' is none of these"),
        ({"rate": "1/m", "burst": 5}, "burst is what a token_bucket holds"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 0}, "burst is a whole number"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 1.5}, "burst is a whole number"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 10**9}, "burst is a whole number"),
        ({"rate": "1/m", "methods": ["PSOT"]}, "not PSOT"),
        ({"rate": "1/m", "methods": []}, "not none of them"),
        ({"rate": "1/m", "methods": [5]}, "not 5"),
        ({"rate": "1/m", "exempt": [5]}, "exempt: 5 is no network"),
        ({"rate": "1/m", "shadow": "false"}, "shadow is a bool, not 'false'"),
        ({"rate": "1/m", "headers": "no"}, "headers is a bool"),
        ({"rate": "1/m", "group": 5}, "group is a str"),
        ({"rate": "1/m", "key": run_async}, "no async functions"),
        ({"rate": "1/m", "cost": run_async}, "no async functions"),
        ({"rate": "1/m", "exempt": [run_async]}, "no async functions"),
        ({"rate": "1/m", "exempt": ["10.0.0.1/8"]}, "exempt: '10.0.0.1/8' is no network"),
        ({"rate": "1/m", "exempt": "0.0.0.0/0"}, "exempt: 0.0.0.0/0 is everybody"),
        ({"rate": "1/m", "exempt": ["stuff"]}, "Or write 'staff'"),
        ("100/m", "is a dict with a rate"),
        ({"rate": "1/m", "on_error": "panic"}, "on_error is one of local"),
        ({"rate": "1/m", "group": "a b"}, "group"),
        ({"rate": "1/m", "upstash_prefix": "x"}, "knows no strict limit"),
    ],
)
def test_an_invalid_policy_is_rejected_with_the_reason(options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        make("p", options)


@pytest.mark.parametrize("name", ["", "API", "a" * 33, 'a"', "ä"])
def test_an_invalid_policy_name_is_rejected(name):
    with pytest.raises(ConfigurationError, match="its name"):
        make(name, {"rate": "1/m"})
