from __future__ import annotations

import pytest

from continuum_upstash.stats.shared import writer
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry


@pytest.fixture(autouse=True)
def site(emulator, settings):
    """Settings with the emulator as the cache "default"."""
    settings.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop")}
    yield settings
    registry.reset()


@pytest.fixture
def shared_statistics(site, new_process_state):
    """Statistics that are shared after each batch."""
    site.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 1000}
    writer.start()
    yield
    writer.stop()
