from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache

from tests.integration.panel_site import HOME, now, page, some_tally, write_history


@pytest.fixture
def operator(client, accounts):
    client.force_login(accounts.operator())
    return client


def test_the_page_shows(panel, operator):
    cache.set("query:1", 1)
    write_history({now() - timedelta(minutes=n): some_tally(40, 30) for n in range(3)}, "minute")
    write_history({now() - timedelta(hours=n): some_tally(400, 300) for n in range(3)}, "hour")
    response = operator.get(page() + "?sample=1")
    assert response.status_code == 200
    assert operator.get(HOME).status_code == 200
