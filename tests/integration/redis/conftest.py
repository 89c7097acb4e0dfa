from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis import ConnectionPool

from continuum_upstash.config.resolve import Config
from continuum_upstash.transports.redis.transport import make_plain_pool
from tests.integration.redis.tcp_clients import AsyncClient, Client, SyncClient, config_for
from tests.integration.redis.tcp_proxy import Proxy
from tests.integration.valkey_server import Valkey


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def tcp(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Make TCP clients sync and async; they close after the test."""
    with ExitStack() as stack:

        def make(
            url: str,
            *,
            make_pool: Callable[[Config], ConnectionPool] = make_plain_pool,
            **settings: Any,
        ) -> Client:
            config = config_for(url, **settings)
            client: Client = request.param(config, make_pool(config))
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def proxy(valkey: Valkey) -> Iterator[Proxy]:
    proxy = Proxy(valkey.port)
    yield proxy
    proxy.stop()
