"""Rate limits while the database refuses commands or lies: on_error decides, no check raises."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.transports.service_errors import SERVICE_TEXTS
from tests.integration.fake_database import SECRET
from tests.integration.ratelimit.limiters import make_policy

TEXTS = [row.examples[0] for row in SERVICE_TEXTS]
LIES = [7, b"lie", None, [], [1], [1, 1, b"x", 0, 0], [1, 1, 0, 0], [None] * 5, [[1]] * 5]
ALLOWED = {"local": [True, False], "allow": [True, True], "deny": [False, False]}


@pytest.fixture
def token():
    return SECRET


@pytest.fixture
def entries(fake_database, transport):
    options = {"TOKEN": SECRET} if transport == "rest" else {}
    backend = "continuum_upstash.backend.CacheBackend"
    return {
        "default": {
            "BACKEND": backend,
            "LOCATION": fake_database.url(transport),
            "OPTIONS": options,
        }
    }


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("on_error", ALLOWED)
@pytest.mark.parametrize("reply", [*map(ReplyError, TEXTS), *LIES], ids=lambda each: str(each)[:30])
def test_on_error_decides(reply, on_error, limiter, fake_database):
    policy = make_policy(rate="1/d", on_error=on_error)
    fake_database.intercept = lambda *_: reply
    decisions = [limiter.check([policy], "a") for _ in range(2)]
    assert decisions[0].reason == "unavailable"
    assert [each.allowed for each in decisions] == ALLOWED[on_error]
