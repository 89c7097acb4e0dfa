"""Limits without their database: each policy does as it was told, and nobody waits for long."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.fallback import state_of
from continuum_upstash.transports.local.transport import LocalTransport
from tests.integration.ratelimit.limiters import database, end_breaks, policy

SOCKETS = {
    "nobody listens": {"kind": "refuse"},
    "no answer": {"kind": "hang"},
    "an answer in five seconds": {"kind": "latency", "seconds": 5},
    "a reset connection": {"kind": "reset"},
    "half of an answer": {"kind": "close"},
}
GATEWAYS = {
    "an answer that is none": {"kind": "garbage"},
    "401 of a gateway": {"kind": "http", "status": 401},
    "429 of a gateway": {"kind": "http", "status": 429, "retry_after": 7},
    "502 of a gateway": {"kind": "http", "status": 502},
    "a used up quota": {"kind": "quota"},
}
OUTAGES = [
    *(("rest", name, fault) for name, fault in {**SOCKETS, **GATEWAYS}.items()),
    *(("tcp", name, {**fault, "side": "tcp"}) for name, fault in SOCKETS.items()),
]
SOON = {"DEADLINE": 0.1}
PING = Batch([("PING",)])

ALLOWED = {"local": [True, False], "allow": [True, True], "deny": [False, False]}

each_outage = pytest.mark.parametrize(
    ("transport", "fault"), [(side, fault) for side, _, fault in OUTAGES],
    ids=[f"{side}: {name}" for side, name, _ in OUTAGES],
)  # fmt: skip


@each_outage
@pytest.mark.parametrize("on_error", ALLOWED)
def test_each_policy_does_as_it_was_told(limiter, emulator, fault, on_error):
    kept = policy(rate="1/d", on_error=on_error)
    limiter.check([kept], "who was here before")
    with override_settings(CONTINUUM_RATELIMIT=SOON), emulator.fault(**fault):
        first, second = (limiter.check([kept], "a") for _ in range(2))
    assert first.reason == "unavailable"
    assert [first.allowed, second.allowed] == ALLOWED[on_error]


@each_outage
def test_the_first_check_after_an_outage_is_counted_again(limiter, emulator, fault):
    kept = policy(on_error="deny")
    limiter.check([kept], "a")
    with override_settings(CONTINUUM_RATELIMIT=SOON), emulator.fault(**fault):
        decisions = [limiter.check([kept], "a") for _ in range(4)]
    assert {each.reason for each in decisions} == {"unavailable"}
    end_breaks(limiter)
    limiter.reset([kept], "a")  # an answer that was cut off may have been counted
    assert limiter.check([kept], "a").remaining == 2
    assert database(limiter).status.state == "closed"


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_database_that_is_slow_for_a_limit_serves_everybody_else(limiter, emulator, transport):
    kept = policy(rate="30/d", on_error="allow")
    limiter.check([kept], "a")
    with (
        override_settings(CONTINUUM_RATELIMIT=SOON),
        emulator.fault("latency", side=transport, seconds=0.3),
    ):
        decisions = [limiter.check([kept], "a") for _ in range(3)]
        with emulator.count() as spent:
            decisions += [limiter.check([kept], "a") for _ in range(20)]
        assert spent.requests == 0, "not every request waits in vain"
        assert database(limiter).send(PING) == [b"PONG"]
    assert {each.reason for each in decisions} == {"unavailable"}
    assert database(limiter).status.state == "closed"
    end_breaks(limiter)
    assert limiter.check([kept], "a").reason == "allowed"


@pytest.mark.parametrize("transport", ["rest"])
def test_while_the_breaker_is_open_a_check_asks_nobody(limiter, emulator):
    kept = policy(on_error="allow")
    with emulator.fault("quota"):
        limiter.check([kept], "a")
    with emulator.count() as spent:
        decision = limiter.check([kept], "a")
    assert (decision.allowed, decision.reason, spent.requests) == (True, "unavailable", 0)


@pytest.mark.parametrize("transport", ["rest"])
def test_who_is_refused_without_a_database_is_told_when_it_is_asked_again(limiter, emulator):
    kept = policy(on_error="deny")
    with emulator.fault("quota"):
        decision = limiter.check([kept], "a")
    assert 200 < decision.retry_after <= 300


@pytest.mark.parametrize("transport", ["rest"])
def test_who_is_refused_for_its_slowness_is_told_when_it_is_asked_again(limiter, emulator):
    kept = policy(on_error="deny")
    limiter.check([kept], "a")
    patience = state_of(database(limiter)).patience
    patience._breaker._times_opened = 3  # a longer outage
    with override_settings(CONTINUUM_RATELIMIT=SOON), emulator.fault("hang"):
        decisions = [limiter.check([kept], "a") for _ in range(4)]
    assert decisions[-1].retry_after == pytest.approx(patience.left(), abs=5)
    assert patience.left() > 8


@pytest.mark.parametrize(("transport", "token"), [("rest", "of-another-database")])
def test_a_wrong_token_is_an_outage_like_any_other(limiter):
    kept = policy(rate="1/d")
    decisions = [limiter.check([kept], "a") for _ in range(2)]
    assert [each.allowed for each in decisions] == ALLOWED["local"]
    assert decisions[0].reason == "unavailable"


@pytest.mark.parametrize("transport", ["rest"])
def test_instances_share_what_is_allowed_without_a_database(limiter, emulator):
    kept = policy(rate="10/d")
    with (
        override_settings(CONTINUUM_RATELIMIT={"DEADLINE": 5.0, "INSTANCES": 4}),
        emulator.fault("refuse"),
    ):
        allowed = [limiter.check([kept], "a").allowed for _ in range(5)]
    assert allowed == [True, True, True, False, False]


@pytest.mark.parametrize("transport", ["rest"])
def test_they_share_what_comes_back_to_a_bucket(limiter, emulator, monkeypatch):
    kept = policy("token_bucket", rate="8/10s", burst=40)
    now = 1000.0
    standin = state_of(database(limiter)).standin
    monkeypatch.setattr(standin, "_local", LocalTransport(Config(), clock=lambda: now))
    with (
        override_settings(CONTINUUM_RATELIMIT={"DEADLINE": 5.0, "INSTANCES": 4}),
        emulator.fault("refuse"),
    ):
        assert limiter.check([kept], "a", 10).allowed
        now += 10
        assert [limiter.check([kept], "a").allowed for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("transport", ["rest"])
def test_a_key_of_another_type_is_left_to_on_error(limiter):
    kept = policy("token_bucket", on_error="deny")
    storage = limiter.cache.charge(kept, "a").storage
    database(limiter).send(Batch([("SET", storage, b"no hash")]))
    assert limiter.check([kept], "a").reason == "unavailable"
