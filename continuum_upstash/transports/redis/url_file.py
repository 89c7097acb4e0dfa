"""TCP transports for a URL in a file: another URL means other connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.redis.async_transport import AsyncRedisTransport
from continuum_upstash.transports.redis.transport import RedisTransport


class UrlFileTransport:
    """Sends over a transport that is replaced when the URL has changed."""

    name = RedisTransport.name

    def __init__(self, url: Secret, build: Callable[[], RedisTransport]) -> None:
        self._url = url
        self._build = build
        self._lock = threading.RLock()  # re-entrant: a signal handler may use the cache
        self._current = url.reveal(), build()

    def send(self, batch: Batch) -> Replies:
        return self._get_transport().send(batch)

    def close(self) -> None:
        self._current[1].close()

    def _get_transport(self) -> RedisTransport:
        url = self._url.reveal()
        if url != self._current[0]:
            with self._lock:
                old_url, old = self._current
                if url != old_url:
                    self._current = url, self._build()
                    old.close()
        return self._current[1]


class AsyncUrlFileTransport:
    """The async counterpart; it belongs to one event loop."""

    name = AsyncRedisTransport.name

    def __init__(
        self, url: Secret, config: Config, build: Callable[[], AsyncRedisTransport]
    ) -> None:
        self._url = url
        self._build = build
        self._current = url.reveal(), build()
        self._seconds = config.read_timeout + config.connect_timeout
        self._closing: set[asyncio.Task[None]] = set()

    async def asend(self, batch: Batch) -> Replies:
        url = self._url.reveal()
        if url != self._current[0]:
            old = self._current[1]
            self._current = url, self._build()
            task = asyncio.create_task(self._close_later(old))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        return await self._current[1].asend(batch)

    async def aclose(self) -> None:
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._current[1].aclose()

    async def _close_later(self, old: AsyncRedisTransport) -> None:
        """Close a transport after the time that other tasks wait for its replies."""
        try:
            await asyncio.sleep(self._seconds)
        finally:
            await old.aclose()
