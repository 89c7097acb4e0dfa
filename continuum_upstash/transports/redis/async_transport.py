"""The async TCP transport: one connection per event loop, shared by all its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from functools import partial
from typing import Final

from redis import ConnectionPool
from redis.exceptions import RedisError

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import AuthenticationFailed, ConnectionFailed, ReplyError, Unavailable
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.async_sockets import DeadlineScope
from continuum_upstash.transports.network_errors import connection_lost
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.async_connection import AsyncRedisConnection
from continuum_upstash.transports.redis.connector import Connector, Credentials, Handshake
from continuum_upstash.transports.redis.options import (
    get_connect_timeout,
    get_health_check_interval,
    get_read_timeout,
)
from continuum_upstash.transports.redis.redis_errors import (
    connect_error,
    handshake_error,
    stale_connection,
)
from continuum_upstash.transports.redis.transport import make_plain_pool
from continuum_upstash.transports.tracebacks import HiddenLibraryFrames

_PING: Final = Handshake(memoryview(resp2.PING), 1)


class AsyncRedisTransport:
    """Sends batches over one connection of the event loop in which it is first used."""

    name = "upstash-redis"

    def __init__(self, config: Config, pool: ConnectionPool | None = None) -> None:
        """
        Args:
            config: the database.
            pool: its options say how to connect; none of its connections is used.
        """
        pool = pool or make_plain_pool(config)
        self._label = config.label
        self._key_locking = config.is_upstash
        self._read_timeout = get_read_timeout(config, pool)
        self._health_check_interval = get_health_check_interval(pool)
        self._connect_timeout = get_connect_timeout(config, pool)
        self._connector = Connector(pool, config.label, self._connect_timeout)
        self._connection: AsyncRedisConnection | None = None
        self._reconnect_task: asyncio.Task[AsyncRedisConnection] | None = None
        self._lifetime: AsyncGenerator[None, None] | None = None

    async def asend(self, batch: Batch) -> Replies:
        message = resp2.pack(batch, key_locking=self._key_locking)
        count = resp2.count_replies(batch)
        retryable = partial(is_retryable, batch)  # only called after a failure: it costs CPU
        now = asyncio.get_running_loop().time()
        deadline = now + self._read_timeout
        connection = self._get_fresh(now, retryable) or await self._reconnect(deadline)
        # The connection may have been dropped without notice. A retryable batch detects that
        # within half of its time; a PING precedes any other batch: see _check_or_reconnect.
        try:
            replies = await connection.send(message, count, deadline, retryable)
        except ConnectionFailed as error:
            if not (error.unsent or retryable()):
                raise
            newer = self._get_fresh(now, retryable)
            if newer is None or not newer.is_usable:
                newer = await self._reconnect(deadline)
            replies = await newer.send(message, count, deadline)
        return resp2.check_replies(replies, batch, self._label)

    def _get_fresh(self, now: float, retryable: Callable[[], bool]) -> AsyncRedisConnection | None:
        """Return the connection if no PING must precede the batch; `send` rejects a closed one."""
        connection = self._connection
        if connection is None or self._reconnect_task is not None:
            return None
        is_fresh = now - connection.last_reply_at < self._health_check_interval
        return connection if is_fresh or retryable() else None

    async def _reconnect(self, deadline: float) -> AsyncRedisConnection:
        """Await the shared reconnect task; cancelling one waiting task does not cancel it."""
        if self._reconnect_task is None:
            # An empty context: a connection outlives the request that happens to open it.
            self._reconnect_task = asyncio.get_running_loop().create_task(
                self._check_or_reconnect(), context=Context()
            )
            self._reconnect_task.add_done_callback(self._on_reconnected)
        try:
            async with DeadlineScope(deadline):
                return await asyncio.shield(self._reconnect_task)
        except TimeoutError as error:
            raise connect_error(error, self._label, self._read_timeout) from error

    def _on_reconnected(self, task: asyncio.Task[AsyncRedisConnection]) -> None:
        self._reconnect_task = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    async def _check_or_reconnect(self) -> AsyncRedisConnection:
        """Return the connection if it replies to a PING, else a new one."""
        connection = self._connection
        if connection is not None and connection.is_usable:
            try:
                async with DeadlineScope(
                    asyncio.get_running_loop().time() + self._read_timeout / 2
                ):
                    await self._send_checked(connection, _PING)
            except (TimeoutError, Unavailable):
                connection.close(stale_connection(self._label))
            else:
                return connection
        return await self._open()

    async def _open(self) -> AsyncRedisConnection:
        if self._lifetime is None:
            self._lifetime = self._close_with_loop()
            await anext(self._lifetime)
        return await self.connect()

    async def connect(self) -> AsyncRedisConnection:
        """Return a new authenticated connection, which is the caller's to close."""
        credentials = await self._connector.read_credentials()
        try:
            return await self._connect(credentials)
        except AuthenticationFailed:
            # Those of a credential provider may have been replaced.
            if (newer := await self._connector.read_credentials()) == credentials:
                raise
        return await self._connect(newer)

    async def _connect(self, credentials: Credentials | None) -> AsyncRedisConnection:
        connection = AsyncRedisConnection(
            self._label, self._read_timeout, self._connector.list_secrets(credentials)
        )
        handshake = self._connector.make_handshake(credentials)
        authenticated = False
        try:
            with HiddenLibraryFrames():
                await self._connector.connect(lambda: connection)
            if handshake is not None:
                await self._send_checked(connection, handshake)
            authenticated = True
        except (OSError, RedisError) as error:
            raise connect_error(error, self._label, self._connect_timeout) from error
        finally:
            if not authenticated:
                connection.close(connection_lost(self._label, None))
        return connection

    async def _send_checked(self, connection: AsyncRedisConnection, commands: Handshake) -> None:
        """Send commands whose replies only must not be errors."""
        deadline = asyncio.get_running_loop().time() + self._read_timeout
        for reply in await connection.send(commands.message, commands.replies, deadline):
            if isinstance(reply, ReplyError):
                raise handshake_error(reply, self._label)

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        """Close the connection before its loop: asyncio then ends the generators that it runs."""
        try:
            yield
        finally:
            await self._disconnect()

    async def _disconnect(self) -> None:
        self._lifetime = None
        if self._reconnect_task is not None:  # not cancelled: that would cancel the waiting tasks
            await asyncio.wait((self._reconnect_task,))
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(connection_lost(self._label, None))
            await connection.closed

    async def aclose(self) -> None:
        if self._lifetime is not None:
            await self._lifetime.aclose()
