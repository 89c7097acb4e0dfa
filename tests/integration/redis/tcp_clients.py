"""One interface for the sync and the async TCP transport, so that each test runs over both."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from redis import ConnectionPool

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from continuum_upstash.transports.redis.transport import RedisTransport


def config_for(url: str, **settings: Any) -> Config:
    chosen = {"read_timeout": 10.0, "connect_timeout": 10.0}
    return Config(mode="redis", redis_url=Secret(url), **(chosen | settings))


class Client(Protocol):
    def send(self, *commands: Command, atomic: bool = False) -> Replies: ...
    def send_all(self, batches: list[Batch]) -> list[Replies | BaseException]:
        """Send them concurrently; return the replies, or the error, of each."""
        ...

    def close_connections(self) -> None:
        """Close the connections; the client can be used again."""
        ...

    def close(self) -> None: ...


class SyncClient:
    most_connections = 10

    def __init__(self, config: Config, pool: ConnectionPool) -> None:
        self.transport = RedisTransport(config, pool)
        self.close_connections = self.close = self.transport.close

    def send(self, *commands: Command, atomic: bool = False) -> Replies:
        return self.transport.send(Batch(commands, atomic=atomic))

    def send_all(self, batches: list[Batch]) -> list[Replies | BaseException]:
        with ThreadPoolExecutor(len(batches)) as threads:
            futures = [threads.submit(self.transport.send, batch) for batch in batches]
        return [future.exception() or future.result() for future in futures]


class AsyncClient:
    """Its event loop runs in its own thread all the time, as a server's does."""

    most_connections = 1

    def __init__(self, config: Config, pool: ConnectionPool) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.transport = AsyncRedisTransport(config, pool)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            self._stop = asyncio.Event()
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stop.wait()

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def send(self, *commands: Command, atomic: bool = False) -> Replies:
        return self._await(self.transport.asend(Batch(commands, atomic=atomic)))

    def send_all(self, batches: list[Batch]) -> list[Replies | BaseException]:
        async def send_all() -> list[Replies | BaseException]:
            return await asyncio.gather(
                *[self.transport.asend(batch) for batch in batches], return_exceptions=True
            )

        return self._await(send_all())

    def close_connections(self) -> None:
        self._await(self.transport.aclose())

    def close(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
