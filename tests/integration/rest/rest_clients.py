"""One interface for the sync and the async REST transport, so that each test runs over both."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Protocol

from continuum_upstash.config.proxies import find_proxy
from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.rest.dialect import RestDialect
from continuum_upstash.transports.rest.rotating_token import (
    make_async_rest_transport,
    make_rest_transport,
)


class Client(Protocol):
    def send(self, *commands: Command) -> Replies: ...
    def close(self) -> None: ...


def config(url: str, **settings: Any) -> Config:
    chosen = {"token": Secret("secret-token"), "read_timeout": 10.0, "connect_timeout": 10.0}
    proxy = find_proxy(os.environ, url)
    return Config(mode="rest", rest_url=url, proxy=proxy, **(chosen | settings))


class SyncClient:
    def __init__(self, url: str, **settings: Any) -> None:
        self.rest = make_rest_transport(config(url, **settings), RestDialect())

    def send(self, *commands: Command) -> Replies:
        return self.rest.send(Batch(commands))

    def close(self) -> None:
        self.rest.close()


class AsyncClient:
    """Drives the async transport from a test that is not async itself."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.rest = make_async_rest_transport(config(url, **settings), RestDialect())
        self._runner = asyncio.Runner()

    def send(self, *commands: Command) -> Replies:
        return self._runner.run(self.rest.asend(Batch(commands)))

    def close(self) -> None:
        self._runner.close()
