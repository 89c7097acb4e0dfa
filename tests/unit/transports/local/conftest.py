from __future__ import annotations

import pytest

from tests.unit.transports.local.local_store import Store


@pytest.fixture
def local():
    return Store()


@pytest.fixture
def clock(local):
    return local.clock


@pytest.fixture
def call(local):
    return local.call
