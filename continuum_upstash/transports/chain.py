"""Which transports a mode needs, and in which order they wrap each other.

    Metered( REST or TCP )            sync
    Metered( Coalescing( REST or TCP ) )   async
    Metered( Local )                  mode local

The modules of a mode are imported when it is first used: a REST client needs neither redis-py
nor hiredis' packer, a TCP client no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from continuum_upstash.config import Config
from continuum_upstash.transports.local import Local
from continuum_upstash.transports.metered import AsyncMetered, Metered
from continuum_upstash.transports.protocol import AsyncTransport, Transport

if TYPE_CHECKING:  # redis-py takes 50 ms to import: only the TCP mode pays for it
    from redis import ConnectionPool

    PoolFactory: TypeAlias = Callable[[Config], ConnectionPool]


def chain(config: Config, local: Local, pool_factory: PoolFactory | None) -> Transport:
    """Return the sync transport of a configuration."""
    return Metered(_primary(config, local, pool_factory), config.alias)


def _primary(config: Config, local: Local, pool_factory: PoolFactory | None) -> Transport:
    if config.mode == "rest":
        from continuum_upstash.transports.rest import Rest  # noqa: PLC0415 by mode

        return Rest(config)
    if config.mode == "redis":
        from continuum_upstash.transports.redis import Redis, plain_pool  # noqa: PLC0415 by mode

        return Redis(config, (pool_factory or plain_pool)(config))
    return local


def achain(config: Config, local: Local) -> AsyncTransport:
    """Return the async transport of a configuration for the running loop."""
    return AsyncMetered(_aprimary(config, local), config.alias)


def _aprimary(config: Config, local: Local) -> AsyncTransport:
    if config.mode == "local":
        return local
    transport: AsyncTransport
    if config.mode == "rest":
        from continuum_upstash.transports.arest import AsyncRest  # noqa: PLC0415 by mode

        transport = AsyncRest(config)
    else:
        from continuum_upstash.transports.aredis import AsyncRedis  # noqa: PLC0415 by mode

        transport = AsyncRedis(config)
    if not config.coalesce:
        return transport
    from continuum_upstash.transports.coalesce import Coalescing  # noqa: PLC0415 needs asyncio

    return Coalescing(transport)
