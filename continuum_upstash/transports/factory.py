"""Builds the transports of a configuration: which ones its mode needs, and what wraps what.

    Failover( Instrumented( Deadline( REST or TCP )), Instrumented( Local ))        sync
    Failover( Guarded( Instrumented( … )), Instrumented( Local ))                   with BUDGET
    Failover( Instrumented( Deadline( Coalescing( REST ) or TCP )), … )             async
    Instrumented( Local )                                                           mode local

The registry wraps these in a NearTransport if an alias with a near cache reaches the same server.

Instrumentation is inside the failover: each record names the backend that replied, and a call that
failed over is two records, the attempt and the local reply.

The modules of a mode are imported when it is first used: a REST client needs neither redis-py
nor hiredis' packer, a TCP client no HTTP, a sync client no asyncio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from continuum_upstash.config.resolve import Config
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.database_state import Extras
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import (
    AsyncFailoverTransport,
    FailoverTransport,
)
from continuum_upstash.transports.wrappers.deadline import AsyncDeadlineTransport, DeadlineTransport
from continuum_upstash.transports.wrappers.instrumented import (
    AsyncInstrumentedTransport,
    InstrumentedTransport,
)

if TYPE_CHECKING:  # redis-py takes 50 ms to import: only the TCP mode needs it
    from redis import ConnectionPool

    PoolFactory: TypeAlias = Callable[[Config], ConnectionPool]


def import_modules(config: Config) -> None:
    """Import what the sync transport of a configuration needs.

    A process that forks while another thread imports them gives its child a locked import.
    """
    if config.mode == "rest":
        from continuum_upstash.transports.rest import http_client, rotating_token  # noqa: F401, PLC0415 by mode

        http_client.import_client(config)
    elif config.mode == "redis":
        from continuum_upstash.transports.redis import transport  # noqa: F401, PLC0415 by mode


def build_transport(
    config: Config, failover: FailoverPolicy, pool_factory: PoolFactory | None, extras: Extras
) -> Transport:
    """Return the sync transport of a configuration."""
    if config.mode == "local":
        return InstrumentedTransport(failover.local, config.alias)
    primary = DeadlineTransport(_build_primary(config, pool_factory, extras), config)
    transport: Transport = InstrumentedTransport(primary, config.alias)
    if failover.budget is not None:
        from continuum_upstash.transports.wrappers.guarded import GuardedTransport  # noqa: PLC0415 by option

        transport = GuardedTransport(transport, failover.budget)
    return FailoverTransport(transport, failover)


def _build_primary(config: Config, pool_factory: PoolFactory | None, extras: Extras) -> Transport:
    if config.mode == "rest":
        from continuum_upstash.transports.rest import rotating_token  # noqa: PLC0415 by mode
        from continuum_upstash.transports.rest.dialect import RestDialect  # noqa: PLC0415 by mode

        return rotating_token.make_rest_transport(config, extras.get(RestDialect))
    from continuum_upstash.transports.redis import transport  # noqa: PLC0415 by mode

    def build() -> transport.RedisTransport:
        pool = (pool_factory or transport.make_plain_pool)(config)
        return transport.RedisTransport(config, pool)

    if config.redis_url is None or config.redis_url.is_fixed:
        return build()
    from continuum_upstash.transports.redis import url_file  # noqa: PLC0415 asyncio

    return url_file.UrlFileTransport(config.redis_url, build)


def build_async_transport(
    config: Config, failover: FailoverPolicy, pool_factory: PoolFactory | None, extras: Extras
) -> AsyncTransport:
    """Return the async transport of a configuration for the running event loop."""
    if config.mode == "local":
        return AsyncInstrumentedTransport(failover.local, config.alias)
    primary = AsyncDeadlineTransport(
        _build_async_primary(config, failover, pool_factory, extras), config
    )
    transport: AsyncTransport = AsyncInstrumentedTransport(primary, config.alias)
    if failover.budget is not None:
        from continuum_upstash.transports.wrappers.guarded import AsyncGuardedTransport  # noqa: PLC0415 by option

        transport = AsyncGuardedTransport(transport, failover.budget)
    return AsyncFailoverTransport(transport, failover)


def _build_async_primary(
    config: Config, failover: FailoverPolicy, pool_factory: PoolFactory | None, extras: Extras
) -> AsyncTransport:
    if config.mode == "redis":
        from continuum_upstash.transports.redis import async_transport, transport  # noqa: PLC0415 by mode

        # Its one connection writes the commands of a tick together: there is nothing to coalesce.
        def build() -> async_transport.AsyncRedisTransport:
            pool = (pool_factory or transport.make_plain_pool)(config)
            return async_transport.AsyncRedisTransport(config, pool)

        if config.redis_url is None or config.redis_url.is_fixed:
            return build()
        from continuum_upstash.transports.redis import url_file  # noqa: PLC0415 only for a file

        return url_file.AsyncUrlFileTransport(config.redis_url, config, build)
    from continuum_upstash.transports.rest import rotating_token  # noqa: PLC0415 by mode
    from continuum_upstash.transports.rest.dialect import RestDialect  # noqa: PLC0415 by mode

    rest = rotating_token.make_async_rest_transport(config, extras.get(RestDialect))
    if not config.coalesce:
        return rest
    from continuum_upstash.transports.wrappers.coalesce import CoalescingTransport  # noqa: PLC0415 asyncio

    if not config.fallback:  # as after a timeout: without the fallback, no key is dirty
        return CoalescingTransport(rest, config.alias)
    return CoalescingTransport(rest, config.alias, failover.dirty_keys.mark)
