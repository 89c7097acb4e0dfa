from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _site(site):
    """Each command runs in a site whose cache is the emulator."""
