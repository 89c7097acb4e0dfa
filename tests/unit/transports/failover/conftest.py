"""Fixtures of test_failover*.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.transports.failover.failover_harness import CONFIG, Bench


@pytest.fixture
def bench(api):
    return Bench(api)


@pytest.fixture
def strict(api):
    """Without fallback."""
    return Bench(api, replace(CONFIG, fallback=False))
