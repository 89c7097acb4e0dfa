"""Opens async subscriptions; see `openers`, which imports this only for async code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.token_reader import TokenReader
from continuum_upstash.errors import AuthenticationFailed
from continuum_upstash.transports.subscriptions.async_subscription import AsyncSubscription

if TYPE_CHECKING:
    from continuum_upstash.transports.factory import PoolFactory
    from continuum_upstash.transports.rest.http11 import RequestEncoder


async def open_rest(config: Config, channels: tuple[str, ...]) -> AsyncSubscription:
    from continuum_upstash.transports.rest.http11 import RequestEncoder  # noqa: PLC0415 by mode

    encoder = RequestEncoder(config)
    if config.token is None or config.token.is_fixed:
        return await _request_events(config, encoder, channels)
    reader = TokenReader(config.token, config)
    encoder.use_token(await reader.aread())
    try:
        return await _request_events(config, encoder, channels)
    except AuthenticationFailed:
        if not encoder.use_token(await reader.aread(rejected=True)):
            raise
    return await _request_events(config, encoder, channels)


async def _request_events(
    config: Config, encoder: RequestEncoder, channels: tuple[str, ...]
) -> AsyncSubscription:
    from continuum_upstash.transports.rest import async_socket_client  # noqa: PLC0415 by mode
    from continuum_upstash.transports.subscriptions import event_stream  # noqa: PLC0415 by mode

    connection = await async_socket_client.connect(encoder, config.ca_file, config.connect_timeout)
    decoder = event_stream.EventStreamDecoder(encoder, channels)
    # As a memoryview, since tracebacks show local variables, and it contains the token.
    request = memoryview(encoder.encode(event_stream.make_request(channels), None))
    subscription = AsyncSubscription(decoder, encoder.label)
    return await subscription.open(connection.hand_over(), request, config.read_timeout)


async def open_tcp(
    config: Config, channels: tuple[str, ...], pool_factory: PoolFactory | None
) -> AsyncSubscription:
    from continuum_upstash.transports.redis import (  # noqa: PLC0415 by mode
        async_transport,
        options,
        transport,
    )
    from continuum_upstash.transports.subscriptions import pubsub  # noqa: PLC0415 by mode

    pool = (pool_factory or transport.make_plain_pool)(config)
    connection = await async_transport.AsyncRedisTransport(config, pool).connect()
    subscription = AsyncSubscription(pubsub.PubSubDecoder(config.label, channels), config.label)
    request = pubsub.make_request(channels)
    seconds = options.get_read_timeout(config, pool)
    return await subscription.open(connection.hand_over(), request, seconds)
