"""Transports that tell observers about each batch, and do nothing when nobody observes."""

from __future__ import annotations

from time import perf_counter

from continuum_upstash.observe import CommandDetails, has_observers, notify
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport


class Metered:
    """A sync transport whose batches are observed."""

    def __init__(self, transport: Transport, alias: str) -> None:
        self._transport = transport
        self._alias = alias
        self.name = transport.name

    def send(self, batch: Batch) -> Replies:
        if not has_observers():
            return self._transport.send(batch)
        watch = _Watch(self._alias, self.name, batch)
        try:
            replies = self._transport.send(batch)
        except Exception as error:
            watch.tell([], error)
            raise
        watch.tell(replies)
        return replies

    def close(self) -> None:
        self._transport.close()


class AsyncMetered:
    """The async twin; a cancelled batch is told to nobody, for nobody knows how it ended."""

    def __init__(self, transport: AsyncTransport, alias: str) -> None:
        self._transport = transport
        self._alias = alias
        self.name = transport.name

    async def asend(self, batch: Batch) -> Replies:
        if not has_observers():
            return await self._transport.asend(batch)
        watch = _Watch(self._alias, self.name, batch)
        try:
            replies = await self._transport.asend(batch)
        except Exception as error:
            watch.tell([], error)
            raise
        watch.tell(replies)
        return replies

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Watch:
    __slots__ = ("_alias", "_backend", "_batch", "_started")

    def __init__(self, alias: str, backend: str, batch: Batch) -> None:
        self._alias, self._backend, self._batch = alias, backend, batch
        self._started = perf_counter()

    def tell(self, replies: Replies, error: Exception | None = None) -> None:
        seconds = perf_counter() - self._started
        commands = self._batch.commands
        notify(CommandDetails(self._alias, self._backend, commands, replies, seconds, error))
