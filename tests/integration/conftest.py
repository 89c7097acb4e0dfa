from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.panel_site import (  # noqa: F401 fixtures of test_panel*.py
    accounts,
    configure_panel,
    panel,
    visit,
)
from tests.integration.ratelimit_browser import (  # noqa: F401 fixtures of test_ratelimit_*.py
    browser,
    limited_site,
    limited_urls,
)
from tests.integration.ratelimit_limiters import (  # noqa: F401 fixtures of test_ratelimit_*.py
    entries,
    limiter,
    token,
)
from tests.integration.rest_clients import AsyncClient, Client, SyncClient
from tests.integration.scripted_server import Server
from tests.integration.session_fallback import (  # noqa: F401 fixtures of test_session_fallback*.py
    member,
    on_the_database,
    outage,
)
from tests.integration.session_site import (  # noqa: F401 fixtures of test_session_*.py
    ada,
    bob,
    configure,
    in_colour,
    remote,
    session,
    site,
    visitor,
)
from tests.integration.tcp_clients import proxy, tcp  # noqa: F401 fixtures of test_tcp_*.py
from tests.integration.valkey_server import valkey, valkey_process  # noqa: F401 as above


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
    """Make REST clients of both colours; they close after the test."""
    with ExitStack() as stack:

        def make(url: str, **settings: Any) -> Client:
            client: Client = request.param(url, **settings)
            stack.callback(client.close)
            return client

        yield make
