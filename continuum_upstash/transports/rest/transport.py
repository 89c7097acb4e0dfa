"""The sync and async transports over the REST API of Upstash."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import DeadlineExceeded, ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.rest import sync_token
from continuum_upstash.transports.rest.dialect import (
    RestDialect,
    rejects_value_in_body,
    repeat_as_json,
    repeat_scripts,
)
from continuum_upstash.transports.rest.http11 import RequestEncoder
from continuum_upstash.transports.rest.http_client import (
    AsyncHttpClient,
    make_async_http_client,
    make_http_client,
)
from continuum_upstash.transports.rest.requests import encode_request
from continuum_upstash.transports.rest.responses import decode_replies


class RestTransport:
    """Sends each batch as one HTTP request; any number of threads may use it.

    A token that may change is set by `use_token` before each batch (`rotating_token`).

    A batch is sent a second time only if the server closed a kept connection before the request
    was written, or if running the batch twice has the same result
    (`plans.command_table.is_retryable`).
    """

    name = "upstash-rest"

    def __init__(self, config: Config, dialect: RestDialect | None = None) -> None:
        self._encoder = RequestEncoder(config)
        self._base64 = SignedBase64(*config.base64_secrets)
        self._client = make_http_client(config, self._encoder)
        self._dialect = dialect or RestDialect()
        self.use_token = self._encoder.use_token

    def send(self, batch: Batch) -> Replies:
        dialect, label = self._dialect, self._encoder.label
        request = encode_request(batch, self._base64, dialect)
        tokens = sync_token.get_tokens()
        url = self._encoder.url
        try:
            response = self._client.exchange(request, tokens.get(url), batch)
        except DeadlineExceeded:
            tokens.discard(url)
            raise
        tokens.update(url, response.headers.get(sync_token.HEADER))
        if request.kind == "value" and rejects_value_in_body(response.status, response.body):
            return run(repeat_as_json(batch, dialect, label), Runner(self.send))
        replies = decode_replies(
            response, request, batch.commands, label, dialect, make_error=self._encoder.make_error
        )
        if dialect.key_locking and ReplyError in map(type, replies):
            return run(repeat_scripts(batch, replies, dialect, label), Runner(self.send))
        return replies

    def close(self) -> None:
        self._client.close()


class AsyncRestTransport:
    """The async counterpart of RestTransport; it belongs to one event loop."""

    name = "upstash-rest"

    def __init__(self, config: Config, dialect: RestDialect | None = None) -> None:
        self._encoder = RequestEncoder(config)
        self._base64 = SignedBase64(*config.base64_secrets)
        self._client = make_async_http_client(config, self._encoder)
        self._dialect = dialect or RestDialect()
        self._lifetime: AsyncGenerator[None, None] | None = None
        self.use_token = self._encoder.use_token

    async def asend(self, batch: Batch) -> Replies:
        if self._lifetime is None:
            self._lifetime = _close_with_loop(self._client)
            await anext(self._lifetime)
        dialect, label = self._dialect, self._encoder.label
        request = encode_request(batch, self._base64, dialect)
        tokens = sync_token.get_tokens()
        url = self._encoder.url
        try:
            response = await self._client.exchange(request, tokens.get(url), batch)
        except DeadlineExceeded:
            tokens.discard(url)
            raise
        tokens.update(url, response.headers.get(sync_token.HEADER))
        if request.kind == "value" and rejects_value_in_body(response.status, response.body):
            return await arun(repeat_as_json(batch, dialect, label), AsyncRunner(self.asend))
        replies = decode_replies(
            response, request, batch.commands, label, dialect, make_error=self._encoder.make_error
        )
        if dialect.key_locking and ReplyError in map(type, replies):
            return await arun(
                repeat_scripts(batch, replies, dialect, label), AsyncRunner(self.asend)
            )
        return replies

    async def aclose(self) -> None:
        await self._client.aclose()


async def _close_with_loop(client: AsyncHttpClient) -> AsyncGenerator[None, None]:
    """Close the connections before their loop: asyncio then ends the generators that it runs.

    Otherwise ``asyncio.run``, and with it ``async_to_sync``, would leave open sockets behind.
    """
    try:
        yield
    finally:
        await client.aclose()
