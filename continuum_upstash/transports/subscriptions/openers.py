"""Opens subscriptions: by a server-sent event stream over REST, by SUBSCRIBE over TCP.

Each has a connection of its own, outside of the pool that carries the commands.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.token_reader import TokenReader
from continuum_upstash.errors import AuthenticationFailed, ConfigurationError
from continuum_upstash.observe import CommandDetails, has_observers, notify
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.subscriptions.messages import validate_channels
from continuum_upstash.transports.subscriptions.subscription import Subscription

if TYPE_CHECKING:
    from continuum_upstash.transports.factory import PoolFactory
    from continuum_upstash.transports.rest.http11 import RequestEncoder
    from continuum_upstash.transports.subscriptions.async_subscription import AsyncSubscription


def open_subscription(
    config: Config, channels: tuple[str, ...], pool_factory: PoolFactory | None
) -> Subscription:
    """Return a subscription that the server has confirmed; see `Database.subscribe`."""
    check_support(config, channels)
    started = perf_counter()
    if config.mode == "rest":
        subscription = _open_rest(config, channels)
    else:
        subscription = _open_tcp(config, channels, pool_factory)
    record(config, channels, started)
    return subscription


def check_support(config: Config, channels: tuple[str, ...]) -> None:
    """Raise ConfigurationError where there are no subscriptions, ValueError for a wrong name."""
    validate_channels(channels)
    if config.mode == "local":
        raise ConfigurationError(
            f"{config.label}: a subscription needs a database. {config.setup_hint}"
        )
    if config.mode == "rest":
        from continuum_upstash.transports.rest.http_client import can_use_sockets  # noqa: PLC0415 by mode

        if not can_use_sockets(config):
            raise ConfigurationError(
                f"{config.label}: a subscription over REST needs a direct connection, not an HTTP "
                "proxy. Add the database's host to NO_PROXY, or use TCP."
            )


def record(config: Config, channels: tuple[str, ...], started: float) -> None:
    """Notify the observers: Upstash bills a subscription as one command."""
    if has_observers():
        backend = "upstash-rest" if config.mode == "rest" else "upstash-redis"
        seconds = perf_counter() - started
        commands = [("SUBSCRIBE", *channels)]
        notify(CommandDetails(config.alias, backend, commands, [len(channels)], seconds, None))


def _open_rest(config: Config, channels: tuple[str, ...]) -> Subscription:
    from continuum_upstash.transports.rest.http11 import RequestEncoder  # noqa: PLC0415 by mode

    encoder = RequestEncoder(config)
    if config.token is None or config.token.is_fixed:
        return _request_events(config, encoder, channels)
    reader = TokenReader(config.token, config)
    encoder.use_token(reader.read())
    try:
        return _request_events(config, encoder, channels)
    except AuthenticationFailed:
        if not encoder.use_token(reader.read(rejected=True)):
            raise
    return _request_events(config, encoder, channels)


def _request_events(
    config: Config, encoder: RequestEncoder, channels: tuple[str, ...]
) -> Subscription:
    from continuum_upstash.transports.rest import socket_client  # noqa: PLC0415 by mode
    from continuum_upstash.transports.subscriptions import event_stream  # noqa: PLC0415 by mode

    connection = socket_client.connect(encoder, config.ca_file, config.connect_timeout)
    decoder = event_stream.EventStreamDecoder(encoder, channels)
    # As a memoryview, since tracebacks show local variables, and it contains the token.
    request = memoryview(encoder.encode(event_stream.make_request(channels), None))
    subscription = Subscription(connection, decoder, encoder.label)
    return subscription.open(request, Deadline(config.read_timeout))


def _open_tcp(
    config: Config, channels: tuple[str, ...], pool_factory: PoolFactory | None
) -> Subscription:
    from continuum_upstash.transports.redis import options, transport  # noqa: PLC0415 by mode
    from continuum_upstash.transports.redis.socket_connector import SocketConnector  # noqa: PLC0415 by mode
    from continuum_upstash.transports.subscriptions import pubsub  # noqa: PLC0415 by mode

    pool = (pool_factory or transport.make_plain_pool)(config)
    timeout = options.get_connect_timeout(config, pool)
    deadline = Deadline(options.get_read_timeout(config, pool))
    connection = SocketConnector(pool, config.label, timeout).connect(deadline)
    decoder = pubsub.PubSubDecoder(config.label, channels)
    request = memoryview(pubsub.make_request(channels))
    return Subscription(connection, decoder, config.label).open(request, deadline)


async def aopen_subscription(
    config: Config, channels: tuple[str, ...], pool_factory: PoolFactory | None
) -> AsyncSubscription:
    """The async counterpart of `open_subscription`, for the running event loop."""
    from continuum_upstash.transports.subscriptions import async_openers  # noqa: PLC0415 asyncio

    check_support(config, channels)
    started = perf_counter()
    if config.mode == "rest":
        subscription = await async_openers.open_rest(config, channels)
    else:
        subscription = await async_openers.open_tcp(config, channels, pool_factory)
    record(config, channels, started)
    return subscription
