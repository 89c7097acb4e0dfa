from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.panel.panel_site import accounts, configure_panel, panel, visit  # noqa: F401 fixtures of test_panel*.py
from tests.integration.redis.tcp_clients import proxy, tcp  # noqa: F401 fixtures of test_tcp_*.py
from tests.integration.redis.valkey_server import valkey, valkey_process  # noqa: F401 as above
from tests.integration.rest.rest_clients import AsyncClient, Client, SyncClient
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


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def rest(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Make REST clients sync and async; they close after the test."""
    with ExitStack() as stack:

        def make(url: str, **settings: Any) -> Client:
            client: Client = request.param(url, **settings)
            stack.callback(client.close)
            return client

        yield make
