"""The records of decisions for observers, and their Prometheus metric."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from continuum_upstash.observe import LimitDecided, subscribe, unsubscribe
from continuum_upstash.ratelimit.policy import parse_policy
from continuum_upstash.stats.exporters.prometheus import PrometheusObserver

# The records do not depend on the transport.
pytestmark = pytest.mark.parametrize("transport", ["rest"])


@pytest.fixture
def records():
    decisions = []

    def observer(record):
        if isinstance(record, LimitDecided):
            decisions.append((record.policy, record.outcome, record.allowed))

    subscribe(observer)
    yield decisions
    unsubscribe(observer)


def make_policy(name, **options):
    return parse_policy(name, {"rate": "1/d", **options})


def test_a_denial_is_recorded_only_for_the_policies_that_deny(limiter, records):
    tight, loose = make_policy("tight", rate="3/d"), make_policy("loose", rate="9/d")
    for _ in range(3):
        limiter.check([tight, loose], "a", 2)
    assert records == [
        ("tight", "allowed", True),
        ("loose", "allowed", True),
        ("tight", "limited", False),
        ("tight", "cached", False),
    ]


def test_a_shadow_policy_records_what_it_would_have_denied(limiter, records):
    enforced, shadow = make_policy("enforced", rate="9/d"), make_policy("shadow", shadow=True)
    for _ in range(2):
        limiter.check([enforced, shadow], "a")
    assert records[2:] == [("enforced", "allowed", True), ("shadow", "shadow", True)]


def test_a_check_with_a_cost_of_0_is_not_recorded(limiter, records):
    limiter.check([make_policy("p")], "a", 0)
    assert records == []


@pytest.mark.parametrize(("on_error", "allowed"), [("local", True), ("deny", False)])
def test_a_decision_of_on_error_is_recorded(limiter, records, emulator, on_error, allowed):
    with emulator.fault("refuse"):
        limiter.check([make_policy("p", on_error=on_error)], "a")
    assert records == [("p", "unavailable", allowed)]


def test_prometheus_counts_decisions_by_policy_and_outcome(limiter):
    own = CollectorRegistry()
    metrics = PrometheusObserver(own)
    subscribe(metrics)
    try:
        for _ in range(4):
            limiter.check([make_policy("api", rate="5/d")], "a", 2)
    finally:
        unsubscribe(metrics)
    text = generate_latest(own).decode()
    for outcome, count in (("allowed", 2), ("limited", 1), ("cached", 1)):
        labels = f'alias="default",outcome="{outcome}",policy="api"'
        assert f"continuum_ratelimit_decisions_total{{{labels}}} {count}.0" in text
