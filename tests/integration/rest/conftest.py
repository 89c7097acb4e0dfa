from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.rest.rest_clients import AsyncClient, Client, SyncClient


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def rest(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Make REST clients sync and async; they close after the test."""
    with ExitStack() as stack:

        def make(url: str, **settings: Any) -> Client:
            client: Client = request.param(url, **settings)
            stack.callback(client.close)
            return client

        yield make
