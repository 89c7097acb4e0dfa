"""Transports that end a batch at its own deadline, where that is shorter than READ_TIMEOUT.

Such a timeout is no sign of an outage: the error says so (`DeadlineExceeded.is_outage`), and the
circuit breaker ignores it.
"""

from __future__ import annotations

from collections.abc import Awaitable

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import DeadlineExceeded, Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.network_errors import deadline_exceeded, is_timeout


class DeadlineTransport:
    """Marks the timeouts of a batch's own deadline, which the sync transports apply."""

    def __init__(self, transport: Transport, config: Config) -> None:
        self._transport = transport
        self._label, self._read_timeout = config.label, config.read_timeout
        self.name = transport.name

    def send(self, batch: Batch) -> Replies:
        seconds = batch.deadline_s
        if seconds is None or seconds >= self._read_timeout:
            return self._transport.send(batch)
        try:
            return self._transport.send(batch)
        except Unavailable as error:
            is_marked = isinstance(error, DeadlineExceeded) and not error.is_outage
            if is_marked or not is_timeout(error):
                raise
            raise deadline_exceeded(self._label, seconds) from error

    def close(self) -> None:
        self._transport.close()


class AsyncDeadlineTransport:
    """The async counterpart, which applies the deadline itself.

    It ends the wait but not the exchange: other tasks' commands may be part of the same request,
    or use the same connection, and must not fail with this batch.
    """

    def __init__(self, transport: AsyncTransport, config: Config) -> None:
        self._transport = transport
        self._label = config.label
        self.name = transport.name

    def asend(self, batch: Batch) -> Awaitable[Replies]:
        if batch.deadline_s is None:
            return self._transport.asend(batch)
        return self._send_in_time(batch, batch.deadline_s)

    async def _send_in_time(self, batch: Batch, seconds: float) -> Replies:
        import asyncio  # noqa: PLC0415 sync clients start faster without it

        from continuum_upstash.transports.async_sockets import DeadlineScope  # noqa: PLC0415 likewise

        try:
            async with DeadlineScope(asyncio.get_running_loop().time() + seconds):
                return await self._transport.asend(batch)
        except TimeoutError as error:
            raise deadline_exceeded(self._label, seconds) from error

    async def aclose(self) -> None:
        await self._transport.aclose()
