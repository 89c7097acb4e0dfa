"""What observers and Prometheus are told of the decisions."""

from __future__ import annotations

import pytest
from django.test import override_settings
from prometheus_client import CollectorRegistry, generate_latest

from continuum_upstash.observe import LimitDecided, subscribe, unsubscribe
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.policy import make
from continuum_upstash.stats.exporters.prometheus import PrometheusObserver
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync


@pytest.fixture
def limiter(emulator, api, request):
    runner = request.getfixturevalue("runner") if api == "async" else None
    entry = {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "LOCATION": emulator.rest_url,
        "OPTIONS": {"TOKEN": emulator.token, "READ_TIMEOUT": 10.0},
    }
    limits = {"DEADLINE": 10.0}
    with override_settings(CACHES={"default": entry}, CONTINUUM_RATELIMIT=limits):
        yield SyncOrAsync(Limiter(), runner)
    registry.reset()


@pytest.fixture
def observed():
    decisions = []

    def observer(record):
        if isinstance(record, LimitDecided):
            decisions.append((record.policy, record.outcome, record.allowed))

    subscribe(observer)
    yield decisions
    unsubscribe(observer)


def policy(name, **options):
    return make(name, {"rate": "1/d", **options})


def test_a_refusal_names_only_the_policies_that_refuse(limiter, observed):
    tight, loose = policy("tight", rate="3/d"), policy("loose", rate="9/d")
    for _ in range(3):
        limiter.check([tight, loose], "a", 2)
    assert observed == [
        ("tight", "allowed", True),
        ("loose", "allowed", True),
        ("tight", "limited", False),
        ("tight", "cached", False),
    ]


def test_a_policy_that_watches_tells_what_it_would_have_refused(limiter, observed):
    kept, watched = policy("kept", rate="9/d"), policy("watched", shadow=True)
    for _ in range(2):
        limiter.check([kept, watched], "a")
    assert observed[2:] == [("kept", "allowed", True), ("watched", "shadow", True)]


def test_a_look_is_no_decision(limiter, observed):
    limiter.check([policy("p")], "a", 0)
    assert observed == []


@pytest.mark.parametrize(("on_error", "allowed"), [("local", True), ("deny", False)])
def test_without_the_database_on_error_decides_and_is_told(
    limiter, observed, emulator, on_error, allowed
):
    with emulator.fault("refuse"):
        limiter.check([policy("p", on_error=on_error)], "a")
    assert observed == [("p", "unavailable", allowed)]


def test_prometheus_counts_decisions_by_policy_and_outcome(limiter):
    own = CollectorRegistry()
    metrics = PrometheusObserver(own)
    subscribe(metrics)
    try:
        for _ in range(4):
            limiter.check([policy("api", rate="5/d")], "a", 2)
    finally:
        unsubscribe(metrics)
    text = generate_latest(own).decode()
    for outcome, count in (("allowed", 2), ("limited", 1), ("cached", 1)):
        labels = f'alias="default",outcome="{outcome}",policy="api"'
        assert f"continuum_ratelimit_decisions_total{{{labels}}} {count}.0" in text
