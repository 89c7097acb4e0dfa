"""Which transports a mode needs, and in which order they wrap each other.

    Failover( Metered( Deadline( REST or TCP )), Metered( Local ))   sync
    … AsyncMetered( AsyncDeadline( Coalescing( REST ))) …            async; TCP needs no Coalescing
    Metered( Local )                                                 mode local

Metering stands inside of the failover, so that each record names who really answered, and a call
that failed over is two records: the attempt and the answer.

The modules of a mode are imported when it is first used: a REST client needs neither redis-py
nor hiredis' packer, a TCP client no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from continuum_upstash.config.resolve import Config
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import (
    AsyncFailoverTransport,
    FailoverTransport,
)
from continuum_upstash.transports.wrappers.deadline import AsyncDeadlineTransport, DeadlineTransport
from continuum_upstash.transports.wrappers.instrumented import AsyncMetered, Metered

if TYPE_CHECKING:  # redis-py takes 50 ms to import: only the TCP mode pays for it
    from redis import ConnectionPool

    PoolFactory: TypeAlias = Callable[[Config], ConnectionPool]


def chain(config: Config, policy: FailoverPolicy, pool_factory: PoolFactory | None) -> Transport:
    """Return the sync transport of a configuration."""
    if config.mode == "local":
        return Metered(policy.local, config.alias)
    primary = DeadlineTransport(_primary(config, pool_factory), config)
    return FailoverTransport(Metered(primary, config.alias), policy)


def _primary(config: Config, pool_factory: PoolFactory | None) -> Transport:
    if config.mode == "rest":
        from continuum_upstash.transports.rest.transport import Rest  # noqa: PLC0415 by mode

        return Rest(config)
    from continuum_upstash.transports.redis.transport import Redis, plain_pool  # noqa: PLC0415 by mode

    return Redis(config, (pool_factory or plain_pool)(config))


def achain(
    config: Config, policy: FailoverPolicy, pool_factory: PoolFactory | None
) -> AsyncTransport:
    """Return the async transport of a configuration for the running loop."""
    if config.mode == "local":
        return AsyncMetered(policy.local, config.alias)
    primary = AsyncDeadlineTransport(_aprimary(config, pool_factory), config)
    return AsyncFailoverTransport(AsyncMetered(primary, config.alias), policy)


def _aprimary(config: Config, pool_factory: PoolFactory | None) -> AsyncTransport:
    if config.mode == "redis":
        from continuum_upstash.transports.redis.async_transport import AsyncRedis  # noqa: PLC0415 by mode
        from continuum_upstash.transports.redis.transport import plain_pool  # noqa: PLC0415 by mode

        # Its one connection writes what a tick brings in one go: nothing to coalesce.
        return AsyncRedis(config, (pool_factory or plain_pool)(config))
    from continuum_upstash.transports.rest.transport import AsyncRest  # noqa: PLC0415 by mode

    if not config.coalesce:
        return AsyncRest(config)
    from continuum_upstash.transports.wrappers.coalesce import Coalescing  # noqa: PLC0415 needs asyncio

    return Coalescing(AsyncRest(config), config.alias)
