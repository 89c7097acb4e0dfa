"""REST transports that read a token that may change before each request.

If the server rejects the token, it is read again at once: it may have been replaced between reading
and sending. The batch is then sent a second time, because the server has run none of its commands.
"""

from __future__ import annotations

from time import monotonic

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.config.token_reader import TokenReader
from continuum_upstash.errors import AuthenticationFailed
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.rest.dialect import RestDialect
from continuum_upstash.transports.rest.transport import AsyncRestTransport, RestTransport


def make_rest_transport(config: Config, dialect: RestDialect) -> Transport:
    if config.token is None or config.token.is_fixed:
        return RestTransport(config, dialect)
    return RotatingTokenTransport(config.token, config, dialect)


def make_async_rest_transport(config: Config, dialect: RestDialect) -> AsyncTransport:
    if config.token is None or config.token.is_fixed:
        return AsyncRestTransport(config, dialect)
    return AsyncRotatingTokenTransport(config.token, config, dialect)


class RotatingTokenTransport:
    """Sends each batch with the current token."""

    name = RestTransport.name

    def __init__(self, token: Secret, config: Config, dialect: RestDialect) -> None:
        self._transport = RestTransport(config, dialect)
        self._reader = TokenReader(token, config)

    def send(self, batch: Batch) -> Replies:
        started = monotonic()
        self._transport.use_token(self._reader.read())
        try:
            return self._transport.send(batch)
        except AuthenticationFailed:
            if not self._transport.use_token(self._reader.read(rejected=True)):
                raise
        if batch.deadline_s is not None:
            batch = batch._replace(deadline_s=batch.deadline_s - (monotonic() - started))
        return self._transport.send(batch)

    def close(self) -> None:
        self._transport.close()


class AsyncRotatingTokenTransport:
    """The async counterpart; the callable TOKEN may be a coroutine function."""

    name = AsyncRestTransport.name

    def __init__(self, token: Secret, config: Config, dialect: RestDialect) -> None:
        self._transport = AsyncRestTransport(config, dialect)
        self._reader = TokenReader(token, config)

    async def asend(self, batch: Batch) -> Replies:
        self._transport.use_token(await self._reader.aread())
        try:
            return await self._transport.asend(batch)
        except AuthenticationFailed:
            if not self._transport.use_token(await self._reader.aread(rejected=True)):
                raise
        return await self._transport.asend(batch)

    async def aclose(self) -> None:
        await self._transport.aclose()
