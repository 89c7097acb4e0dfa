"""A change becomes a signal where somebody may wish to know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from continuum_upstash.observe import CommandDetails
from continuum_upstash.signals import backend_changed, send_signals, upstash_unavailable
from tests.unit.transports.failover.failover_harness import CONFIG, FailoverHarness


@pytest.fixture
def harness(api):
    return FailoverHarness(api)


@pytest.fixture
def received():
    heard = []

    def hear(sender, signal, **details):
        name = "changed" if signal is backend_changed else "unavailable"
        heard.append((name, details["state"], details["backend"]))
        assert details["alias"] == "shop"
        assert details["reason"]

    for signal in (backend_changed, upstash_unavailable):
        signal.connect(hear)
    yield heard
    for signal in (backend_changed, upstash_unavailable):
        signal.disconnect(hear)


def test_an_outage_is_three_signals(received):
    harness = FailoverHarness()
    harness.start_outage()
    harness.clock.now = harness.breaker.retry_at
    harness.call("GET", "k")  # a probe in vain changes nothing
    harness.end_outage()
    harness.call("GET", "k")
    assert received == [
        ("changed", "open", "local"),
        ("unavailable", "open", "local"),
        ("changed", "closed", "upstash-rest"),
    ]


def test_without_fallback_nobody_takes_over(received):
    harness = FailoverHarness(config=replace(CONFIG, fallback=False))
    harness.breaker.force_open()
    harness.breaker.reset()
    assert received == [("unavailable", "forced_open", "upstash-rest")]


def test_a_receiver_that_fails_keeps_nobody_from_hearing(received, caplog):
    def fail(**details):
        raise RuntimeError("a receiver's own fault")

    upstash_unavailable.connect(fail)
    harness = FailoverHarness()
    harness.start_outage()
    upstash_unavailable.disconnect(fail)
    assert len(received) == 2
    assert "a receiver's own fault" in caplog.text


def test_what_is_no_change_of_state_sends_nothing(received):
    send_signals(CommandDetails("shop", "local", (), (), 0.1, None))
    assert received == []
