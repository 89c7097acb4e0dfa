"""Rate limits during an outage: on_error applies, after at most the deadline."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.fallback import LocalLimiter, get_limiter_state
from tests.integration.ratelimit.limiters import close_breakers, get_database, make_policy

SOCKETS = {
    "connection refused": {"kind": "refuse"},
    "no response": {"kind": "hang"},
    "a response after five seconds": {"kind": "latency", "seconds": 5},
    "a reset connection": {"kind": "reset"},
    "half of a response": {"kind": "close"},
}
GATEWAYS = {
    "an invalid response": {"kind": "garbage"},
    "401 of a gateway": {"kind": "http", "status": 401},
    "429 of a gateway": {"kind": "http", "status": 429, "retry_after": 7},
    "502 of a gateway": {"kind": "http", "status": 502},
    "an exhausted quota": {"kind": "quota"},
}
OUTAGES = [
    *(("rest", name, fault) for name, fault in {**SOCKETS, **GATEWAYS}.items()),
    *(("tcp", name, {**fault, "side": "tcp"}) for name, fault in SOCKETS.items()),
]
SHORT_DEADLINE = {"DEADLINE": 0.1}
PING = Batch([("PING",)])

ALLOWED = {"local": [True, False], "allow": [True, True], "deny": [False, False]}


@pytest.fixture
def entries(entries):
    """CACHES whose connections that do not reply are given up soon."""
    entries["default"]["OPTIONS"]["READ_TIMEOUT"] = 1.0
    return entries


each_outage = pytest.mark.parametrize(
    ("transport", "fault"), [(side, fault) for side, _, fault in OUTAGES],
    ids=[f"{side}: {name}" for side, name, _ in OUTAGES],
)  # fmt: skip


@each_outage
@pytest.mark.parametrize("on_error", ALLOWED)
def test_on_error_applies_to_each_policy(limiter, emulator, fault, on_error):
    policy = make_policy(rate="1/d", on_error=on_error)
    limiter.check([policy], "another client")
    with override_settings(CONTINUUM_RATELIMIT=SHORT_DEADLINE), emulator.fault(**fault):
        first, second = (limiter.check([policy], "a") for _ in range(2))
    assert first.reason == "unavailable"
    assert [first.allowed, second.allowed] == ALLOWED[on_error]


@each_outage
def test_the_first_check_after_an_outage_is_counted(limiter, emulator, fault):
    policy = make_policy(on_error="deny")
    limiter.check([policy], "a")
    with override_settings(CONTINUUM_RATELIMIT=SHORT_DEADLINE), emulator.fault(**fault):
        decisions = [limiter.check([policy], "a") for _ in range(4)]
    assert {each.reason for each in decisions} == {"unavailable"}
    close_breakers(limiter)
    limiter.reset([policy], "a")  # a check whose response was lost may have been counted
    assert limiter.check([policy], "a").remaining == 2
    assert get_database(limiter).status.state == "closed"


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_timeouts_of_checks_do_not_open_the_breaker_of_the_database(limiter, emulator, transport):
    policy = make_policy(rate="30/d", on_error="allow")
    limiter.check([policy], "a")
    with (
        override_settings(CONTINUUM_RATELIMIT=SHORT_DEADLINE),
        emulator.fault("latency", side=transport, seconds=0.3),
    ):
        decisions = [limiter.check([policy], "a") for _ in range(3)]
        assert get_database(limiter).status.failures == 0
        with emulator.count() as spent:
            decisions += [limiter.check([policy], "a") for _ in range(20)]
        assert spent.requests == 0, "the limiter's own breaker is open"
        assert get_database(limiter).send(PING) == [b"PONG"]
    assert {each.reason for each in decisions} == {"unavailable"}
    assert get_database(limiter).status.state == "closed"
    close_breakers(limiter)
    assert limiter.check([policy], "a").reason == "allowed"


# Over TCP, opening a connection has its own timeout, which does count as an outage.
@pytest.mark.parametrize("transport", ["rest"])
def test_timeouts_of_checks_on_new_connections_do_not_open_it_either(limiter, emulator):
    policy = make_policy(on_error="allow")
    with override_settings(CONTINUUM_RATELIMIT=SHORT_DEADLINE), emulator.fault("hang"):
        decisions = [limiter.check([policy], "a") for _ in range(5)]
        status = get_database(limiter).status
    assert {each.reason for each in decisions} == {"unavailable"}
    assert (status.state, status.failures) == ("closed", 0)


@pytest.mark.parametrize("transport", ["rest"])
def test_while_the_breaker_is_open_a_check_sends_nothing(limiter, emulator):
    policy = make_policy(on_error="allow")
    with emulator.fault("quota"):
        limiter.check([policy], "a")
    with emulator.count() as spent:
        decision = limiter.check([policy], "a")
    assert (decision.allowed, decision.reason, spent.requests) == (True, "unavailable", 0)


@pytest.mark.parametrize("transport", ["rest"])
def test_retry_after_is_the_next_attempt_of_the_databases_breaker(limiter, emulator):
    policy = make_policy(on_error="deny")
    with emulator.fault("quota"):
        decision = limiter.check([policy], "a")
    assert 200 < decision.retry_after <= 300


@pytest.mark.parametrize("transport", ["rest"])
def test_retry_after_is_the_next_attempt_of_the_limiters_breaker(limiter, emulator):
    policy = make_policy(on_error="deny")
    limiter.check([policy], "a")
    breaker = get_limiter_state(get_database(limiter)).breaker
    breaker._breaker._times_opened = 3  # a longer outage
    with override_settings(CONTINUUM_RATELIMIT=SHORT_DEADLINE), emulator.fault("hang"):
        decisions = [limiter.check([policy], "a") for _ in range(4)]
    assert decisions[-1].retry_after == pytest.approx(breaker.get_retry_seconds(), abs=5)
    assert breaker.get_retry_seconds() > 8


@pytest.mark.parametrize(("transport", "token"), [("rest", "of-another-database")])
def test_on_error_applies_to_a_wrong_token(limiter):
    policy = make_policy(rate="1/d")
    decisions = [limiter.check([policy], "a") for _ in range(2)]
    assert [each.allowed for each in decisions] == ALLOWED["local"]
    assert decisions[0].reason == "unavailable"


@pytest.mark.parametrize("transport", ["rest"])
def test_instances_share_the_local_limit(limiter, emulator):
    policy = make_policy(rate="10/d")
    with (
        override_settings(CONTINUUM_RATELIMIT={"DEADLINE": 5.0, "INSTANCES": 4}),
        emulator.fault("refuse"),
    ):
        allowed = [limiter.check([policy], "a").allowed for _ in range(5)]
    assert allowed == [True, True, True, False, False]


@pytest.mark.parametrize("transport", ["rest"])
def test_instances_share_the_refill_of_a_token_bucket(limiter, emulator, monkeypatch):
    policy = make_policy("token_bucket", rate="8/10s", burst=40)
    now = 1000.0
    state = get_limiter_state(get_database(limiter))
    monkeypatch.setattr(state, "local_limiter", LocalLimiter(state.breaker, lambda: now))
    with (
        override_settings(CONTINUUM_RATELIMIT={"DEADLINE": 5.0, "INSTANCES": 4}),
        emulator.fault("refuse"),
    ):
        assert limiter.check([policy], "a", 10).allowed
        now += 10
        assert [limiter.check([policy], "a").allowed for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("transport", ["rest"])
def test_on_error_applies_to_a_key_of_another_type(limiter):
    policy = make_policy("token_bucket", on_error="deny")
    key = limiter.cache.build_charge(policy, "a").key_prefix
    get_database(limiter).send(Batch([("SET", key, b"not a hash")]))
    assert limiter.check([policy], "a").reason == "unavailable"
