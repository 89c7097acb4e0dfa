"""An async transport that gives up on a batch in time.

Around everything else, since it ends the waiting and not the exchange: other tasks' commands may
travel in the same request or over the same connection, and must not fail with this one.
"""

from __future__ import annotations

import asyncio

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport
from continuum_upstash.transports.network_errors import overdue


class Impatient:
    """Honours a batch's own deadline; the sync transports do that themselves."""

    def __init__(self, transport: AsyncTransport, label: str) -> None:
        self._transport = transport
        self._label = label
        self.name = transport.name

    async def asend(self, batch: Batch) -> Replies:
        if batch.deadline_s is None:
            return await self._transport.asend(batch)
        try:
            async with asyncio.timeout(batch.deadline_s):
                return await self._transport.asend(batch)
        except TimeoutError as error:
            raise overdue(self._label, batch.deadline_s) from error

    async def aclose(self) -> None:
        await self._transport.aclose()
