"""Transports that notify the observers of each batch; without observers they cost nothing."""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter

from continuum_upstash.observe import CommandDetails, has_observers, notify
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport


class InstrumentedTransport:
    """A sync transport with observers."""

    def __init__(self, transport: Transport, alias: str) -> None:
        self._transport = transport
        self._alias = alias
        self.name = transport.name

    def send(self, batch: Batch) -> Replies:
        if not has_observers():
            return self._transport.send(batch)
        timer = _Timer(self._alias, self.name, batch)
        try:
            replies = self._transport.send(batch)
        except Exception as error:
            timer.report([], error)
            raise
        timer.report(replies)
        return replies

    def close(self) -> None:
        self._transport.close()


class AsyncInstrumentedTransport:
    """The async counterpart; a cancelled batch is not recorded, since its outcome is unknown."""

    def __init__(self, transport: AsyncTransport, alias: str) -> None:
        self._transport = transport
        self._alias = alias
        self.name = transport.name

    def asend(self, batch: Batch) -> Awaitable[Replies]:
        # Without observers no coroutine of its own: each costs at every resumption of the caller.
        return self._record(batch) if has_observers() else self._transport.asend(batch)

    async def _record(self, batch: Batch) -> Replies:
        timer = _Timer(self._alias, self.name, batch)
        try:
            replies = await self._transport.asend(batch)
        except Exception as error:
            timer.report([], error)
            raise
        timer.report(replies)
        return replies

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Timer:
    """Measures one batch, and notifies the observers of its outcome."""

    __slots__ = ("_alias", "_backend", "_batch", "_started")

    def __init__(self, alias: str, backend: str, batch: Batch) -> None:
        self._alias, self._backend, self._batch = alias, backend, batch
        self._started = perf_counter()

    def report(self, replies: Replies, error: Exception | None = None) -> None:
        seconds = perf_counter() - self._started
        commands = self._batch.commands
        notify(CommandDetails(self._alias, self._backend, commands, replies, seconds, error))
