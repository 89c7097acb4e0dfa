"""The async transport over Upstash's REST API."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports import synctoken
from continuum_upstash.transports.answers import replies
from continuum_upstash.transports.forms import request_for
from continuum_upstash.transports.senders import AsyncSender, async_sender_for
from continuum_upstash.transports.wire import Endpoint


class AsyncRest:
    """The twin of `Rest` for the tasks of one event loop."""

    name = "upstash-rest"

    def __init__(self, config: Config) -> None:
        self._endpoint = Endpoint(config)
        self._sender = async_sender_for(config, self._endpoint)
        self._guard: AsyncGenerator[None, None] | None = None

    async def asend(self, batch: Batch) -> Replies:
        if self._guard is None:
            self._guard = _until_shutdown(self._sender)
            await anext(self._guard)
        request = request_for(batch)
        tokens = synctoken.current()
        database = self._endpoint.url
        answer = await self._sender.exchange(request, tokens.get(database), batch)
        tokens.learn(database, answer.headers.get(synctoken.HEADER))
        return replies(answer, request, batch.commands, self._endpoint.label)

    async def aclose(self) -> None:
        await self._sender.aclose()


async def _until_shutdown(sender: AsyncSender) -> AsyncGenerator[None, None]:
    """Close the connections with their loop: before that, asyncio ends the generators under way.

    Otherwise ``asyncio.run``, and with it ``async_to_sync``, would leave sockets behind.
    """
    try:
        yield
    finally:
        await sender.aclose()
