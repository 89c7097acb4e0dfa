from __future__ import annotations

import pytest

from tests.unit.transports.wrappers.budgeted_site import Site


@pytest.fixture
def site(api):
    return Site(api)
