"""The sync and async transports over the REST API of Upstash."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.rest import sync_token
from continuum_upstash.transports.rest.http11 import Endpoint
from continuum_upstash.transports.rest.http_client import AsyncSender, async_sender_for, sender_for
from continuum_upstash.transports.rest.requests import request_for
from continuum_upstash.transports.rest.responses import replies


class Rest:
    """Sends each batch as one HTTP request; one object serves all threads of a process.

    A batch is sent a second time only when the kept connection proved closed before it was
    written, or when running it twice is running it once (`plans/command_table.py`).
    """

    name = "upstash-rest"

    def __init__(self, config: Config) -> None:
        self._endpoint = Endpoint(config)
        self._sender = sender_for(config, self._endpoint)

    def send(self, batch: Batch) -> Replies:
        request = request_for(batch)
        tokens = sync_token.current()
        database = self._endpoint.url
        answer = self._sender.exchange(request, tokens.get(database), batch)
        tokens.learn(database, answer.headers.get(sync_token.HEADER))
        return replies(answer, request, batch.commands, self._endpoint.label)

    def close(self) -> None:
        self._sender.close()


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
        tokens = sync_token.current()
        database = self._endpoint.url
        answer = await self._sender.exchange(request, tokens.get(database), batch)
        tokens.learn(database, answer.headers.get(sync_token.HEADER))
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
