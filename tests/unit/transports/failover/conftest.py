from __future__ import annotations

import pytest

from tests.unit.transports.failover.failover_harness import CONFIG, FailoverHarness


@pytest.fixture
def harness(api):
    return FailoverHarness(api)


@pytest.fixture
def without_fallback(api):
    return FailoverHarness(api, CONFIG.replace(fallback=False))
