"""The options of a policy, and what is wrong with invalid ones."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.policy import parse_policy


async def run_async(_request):
    return 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "has no rate"),
        ({"rate": "much"}, "'much' is not a rate"),
        ({"rate": "1/m", "algoritm": "fixed"}, "Did you mean algorithm?"),
        ({"rate": "1/m", "algorithm": "leaky"}, "algorithm must be one of strict"),
        ({"rate": "1/m", "key": "address"}, "a function of the request, not 'address'"),
        ({"rate": "1/m", "key": "ip+header:"}, "not 'header:'"),
        ({"rate": "1/m", "cost": 2}, "cost must be an integer from 1 to the limit, 1"),
        ({"rate": "1/m", "cost": 0.5}, "cost must be an integer"),
        ({"rate": "1/m", "key": 5}, "not '5'"),
        ({"rate": "1/m", "burst": 5}, "token_bucket only"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 0}, "burst must be an integer"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 1.5}, "burst must be an integer"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 10**9}, "burst must be an integer"),
        ({"rate": "1/m", "methods": ["PSOT"]}, "not PSOT"),
        ({"rate": "1/m", "methods": []}, "not an empty list"),
        ({"rate": "1/m", "methods": [5]}, "not 5"),
        ({"rate": "1/m", "exempt": [5]}, "exempt: 5 is not a network"),
        ({"rate": "1/m", "shadow": "false"}, "shadow must be a bool, not 'false'"),
        ({"rate": "1/m", "headers": "no"}, "headers must be a bool"),
        ({"rate": "1/m", "group": 5}, "group must be a str"),
        ({"rate": "1/m", "key": run_async}, "must not be async functions"),
        ({"rate": "1/m", "cost": run_async}, "must not be async functions"),
        ({"rate": "1/m", "exempt": [run_async]}, "must not be async functions"),
        ({"rate": "1/m", "exempt": ["10.0.0.1/8"]}, "exempt: '10.0.0.1/8' is not a network"),
        ({"rate": "1/m", "exempt": "0.0.0.0/0"}, "exempt: 0.0.0.0/0 includes all addresses"),
        ({"rate": "1/m", "exempt": ["stuff"]}, "Other valid values are 'staff'"),
        ("100/m", "must be a dict with a rate"),
        ({"rate": "1/m", "on_error": "panic"}, "on_error must be one of local"),
        ({"rate": "1/m", "group": "a b"}, "group"),
        ({"rate": "1/m", "upstash_prefix": "x"}, "has no strict algorithm"),
    ],
)
def test_an_invalid_policy_is_rejected_with_the_reason(options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        parse_policy("p", options)


@pytest.mark.parametrize("name", ["", "API", "a" * 33, 'a"', "ä"])
def test_an_invalid_policy_name_is_rejected(name):
    with pytest.raises(ConfigurationError, match="the name"):
        parse_policy(name, {"rate": "1/m"})
