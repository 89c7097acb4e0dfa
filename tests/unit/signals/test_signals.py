"""State changes of the breaker are sent as Django signals."""

from __future__ import annotations

import pytest

from continuum_upstash.observe import CommandDetails
from continuum_upstash.signals import backend_changed, send_signals, upstash_unavailable
from tests.unit.transports.failover.failover_harness import CONFIG, FailoverHarness


@pytest.fixture
def harness(api):
    return FailoverHarness(api)


@pytest.fixture
def received():
    signals = []

    def receive(sender, signal, **details):
        name = "changed" if signal is backend_changed else "unavailable"
        signals.append((name, details["state"], details["backend"]))
        assert details["alias"] == "shop"
        assert details["reason"]

    for signal in (backend_changed, upstash_unavailable):
        signal.connect(receive)
    yield signals
    for signal in (backend_changed, upstash_unavailable):
        signal.disconnect(receive)


def test_an_outage_sends_three_signals(received):
    harness = FailoverHarness()
    harness.start_outage()
    harness.clock.now = harness.breaker.retry_at
    harness.call("GET", "k")  # a failed probe changes nothing
    harness.end_outage()
    harness.call("GET", "k")
    assert received == [
        ("changed", "open", "local"),
        ("unavailable", "open", "local"),
        ("changed", "closed", "upstash-rest"),
    ]


def test_without_fallback_the_backend_does_not_change(received):
    harness = FailoverHarness(config=CONFIG.replace(fallback=False))
    harness.breaker.force_open()
    harness.breaker.reset()
    assert received == [("unavailable", "forced_open", "upstash-rest")]


def test_a_failing_receiver_does_not_affect_the_others(received, caplog):
    def fail(**details):
        raise RuntimeError("the receiver failed")

    upstash_unavailable.connect(fail)
    harness = FailoverHarness()
    harness.start_outage()
    upstash_unavailable.disconnect(fail)
    assert len(received) == 2
    assert "the receiver failed" in caplog.text


def test_other_records_send_no_signal(received):
    send_signals(CommandDetails("shop", "local", (), (), 0.1, None))
    assert received == []
