"""Fixtures of test_failover*.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.transports.failover.failover_harness import CONFIG, Bench


@pytest.fixture
def bench(colour):
    return Bench(colour)


@pytest.fixture
def strict(colour):
    """Without fallback."""
    return Bench(colour, replace(CONFIG, fallback=False))
