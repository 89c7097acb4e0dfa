"""One interface for the sync and the async REST transport, so that each test runs over both."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from continuum_upstash.config.credentials import Secret
from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.rest.transport import AsyncRestTransport, RestTransport


class Client(Protocol):
    def send(self, *commands: Command) -> Replies: ...
    def close(self) -> None: ...


def config(url: str, **settings: Any) -> Config:
    chosen = {"token": Secret("secret-token"), "read_timeout": 10.0, "connect_timeout": 10.0}
    return Config(mode="rest", rest_url=url, **(chosen | settings))


class SyncClient:
    def __init__(self, url: str, **settings: Any) -> None:
        self.rest = RestTransport(config(url, **settings))

    def send(self, *commands: Command) -> Replies:
        return self.rest.send(Batch(commands))

    def close(self) -> None:
        self.rest.close()


class AsyncClient:
    """Drives the async transport from a test that is not async itself."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.rest = AsyncRestTransport(config(url, **settings))
        self._runner = asyncio.Runner()

    def send(self, *commands: Command) -> Replies:
        return self._runner.run(self.rest.asend(Batch(commands)))

    def close(self) -> None:
        self._runner.close()
