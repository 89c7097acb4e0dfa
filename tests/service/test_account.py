"""API: the Developer API, with the account's own figures.

On a real database these tests need UPSTASH_EMAIL and UPSTASH_API_KEY, and are skipped without them.
A read-only key is sufficient. They send no command to the database.
"""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest

from continuum_upstash.config.secrets import Secret
from continuum_upstash.health.developer_api import DeveloperApi
from tests.service.catalogue import UPSTASH, assume

URL = "https://api.upstash.com"
DOCS = "devops/developer-api/redis"
AFFECTS = "cache_cost and cache_doctor --account: unexpected response."


@pytest.fixture
def credentials(request: pytest.FixtureRequest, target: Any) -> tuple[str, str, str]:
    """The e-mail address, the key and the URL of the API."""
    if target.is_real:
        email, key = (os.environ.get(f"UPSTASH_{name}", "") for name in ("EMAIL", "API_KEY"))
        if not email or not key:
            pytest.skip("set UPSTASH_EMAIL and UPSTASH_API_KEY to examine the Developer API")
        return email, key, URL
    email, key = "dev@example.com", "service-suite"
    return email, key, request.getfixturevalue("emulator").set_account(email, key)


@assume(
    "API-001",
    documented=f"{DOCS}/list_databases",
    affects="cache_cost: none of the account's databases has the host.",
    commands=0,
    profiles=UPSTASH,
)
def test_the_list_names_the_database_by_its_host(credentials, target):
    """The list of databases has an entry whose endpoint is the host, or its first label."""
    email, key, url = credentials
    database, _ = DeveloperApi(email, Secret(key), url).read(target.rest_host)
    assert database.database_id


@assume(
    "API-002",
    documented=f"{DOCS}/get_database",
    affects=AFFECTS,
    commands=0,
    profiles=UPSTASH,
)
def test_a_database_has_plan_state_and_limits(credentials, target):
    """A database has type, state, and limits in bytes and commands per second."""
    email, key, url = credentials
    database, _ = DeveloperApi(email, Secret(key), url).read(target.rest_host)
    assert (database.state, bool(database.plan)) == ("active", True)
    assert database.max_request_bytes >= 1_000_000
    assert database.max_commands_per_second >= 100


@assume(
    "API-003",
    documented=f"{DOCS}/get_database_stats",
    affects=AFFECTS,
    commands=0,
    profiles=UPSTASH,
)
def test_the_usage_has_the_months_commands_and_price(credentials, target):
    """The usage has the month's commands and their price in dollars, not in cents."""
    email, key, url = credentials
    _, usage = DeveloperApi(email, Secret(key), url).read(target.rest_host)
    assert usage.commands >= usage.writes
    assert usage.dollars <= 1 + usage.commands * 0.001


@assume(
    "API-004",
    documented="devops/developer-api/authentication",
    affects="A wrong API key is reported without its advice.",
    commands=0,
    profiles=UPSTASH,
)
def test_a_wrong_key_is_rejected_with_401(credentials):
    """A wrong API key is rejected with status 401."""
    email, _, url = credentials
    response = httpx.get(f"{url}/v2/redis/databases", auth=(email, "wrong"), timeout=10)
    assert response.status_code == 401
