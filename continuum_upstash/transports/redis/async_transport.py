"""The async TCP transport: one connection per event loop, shared by all its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from functools import partial

from redis import ConnectionPool
from redis.exceptions import RedisError

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, ReplyError, Unavailable
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.network_errors import broken
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.async_connection import AsyncLink
from continuum_upstash.transports.redis.connector import Endpoint
from continuum_upstash.transports.redis.errors import handshake_refused, not_connected, silent
from continuum_upstash.transports.redis.options import (
    connect_timeout,
    health_check_interval,
    read_timeout,
)
from continuum_upstash.transports.redis.transport import plain_pool


class AsyncRedis:
    """Sends batches over one connection of the loop in which it was first used."""

    name = "upstash-redis"

    def __init__(self, config: Config, pool: ConnectionPool | None = None) -> None:
        """
        Args:
            config: the database.
            pool: says how to connect, by its options; none of its connections is used.
        """
        pool = pool or plain_pool(config)
        self._label = config.label
        self._key_locking = config.is_upstash
        self._timeout = read_timeout(config, pool)
        self._doubt_after = health_check_interval(pool)
        self._connect_timeout = connect_timeout(config, pool)
        self._endpoint = Endpoint(pool, self._connect_timeout)
        self._link: AsyncLink | None = None
        self._renewal: asyncio.Task[AsyncLink] | None = None
        self._life: AsyncGenerator[None, None] | None = None

    async def asend(self, batch: Batch) -> Replies:
        message = resp2.pack(batch, key_locking=self._key_locking)
        count = resp2.reply_count(batch)
        repeatable = partial(is_retryable, batch)  # asked in trouble only: it reads the batch
        now = asyncio.get_running_loop().time()
        deadline = now + self._timeout
        link = self._trusted(now, repeatable)
        # The connection may have gone dead without a word. A batch that is safe to repeat finds
        # out by itself, within half of its time; ahead of any other goes a PING: see _renew.
        try:
            link = link or await self._renewed(deadline)
            replies = await link.ask(message, count, deadline, repeatable)
        except ConnectionFailed as error:
            if link is None or not (error.unsent or repeatable()):
                raise
            link = self._trusted(now, repeatable) or await self._renewed(deadline)
            replies = await link.ask(message, count, deadline)
        return resp2.settle(replies, batch, self._label)

    def _trusted(self, now: float, repeatable: Callable[[], bool]) -> AsyncLink | None:
        link = self._link
        if self._renewal is not None or link is None or not link.usable:
            return None
        return link if now - link.heard_at < self._doubt_after or repeatable() else None

    async def _renewed(self, deadline: float) -> AsyncLink:
        """Wait for the one attempt that all tasks share; who is cancelled does not end it."""
        if self._renewal is None:
            # An empty context: a connection outlives the request that happens to open it.
            self._renewal = asyncio.get_running_loop().create_task(self._renew(), context=Context())
            self._renewal.add_done_callback(self._keep)
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self._renewal)
        except TimeoutError as error:
            raise not_connected(error, self._label, self._timeout) from error

    def _keep(self, renewal: asyncio.Task[AsyncLink]) -> None:
        self._renewal = None
        if not renewal.cancelled() and renewal.exception() is None:
            self._link = renewal.result()

    async def _renew(self) -> AsyncLink:
        """Return the link if it answers after a long silence, or else a new one."""
        link = self._link
        if link is not None and link.usable:
            try:
                async with asyncio.timeout(self._timeout / 2):
                    await self._tell(link, [("PING",)])
            except (TimeoutError, Unavailable):
                link.lose(silent(self._label))
            else:
                return link
        return await self._open()

    async def _open(self) -> AsyncLink:
        if self._life is None:
            self._life = self._until_the_loop_ends()
            await anext(self._life)
        link = AsyncLink(self._label, self._timeout)
        greeted = False
        try:
            await self._endpoint.connect(lambda: link)
            await self._tell(link, await self._endpoint.greeting())
            greeted = True
        except (OSError, RedisError) as error:
            raise not_connected(error, self._label, self._connect_timeout) from error
        finally:
            if not greeted:
                link.lose(broken(self._label, None))
        return link

    async def _tell(self, link: AsyncLink, commands: list[Command]) -> None:
        """Send commands that only have to succeed."""
        if not commands:
            return
        batch = Batch(commands)
        message = resp2.pack(batch, key_locking=False)
        deadline = asyncio.get_running_loop().time() + self._timeout
        for reply in await link.ask(message, len(commands), deadline):
            if isinstance(reply, ReplyError):
                raise handshake_refused(reply, self._label)

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """Close the connection when the loop does: asyncio ends its generators, and only them."""
        try:
            yield
        finally:
            await self._hang_up()

    async def _hang_up(self) -> None:
        self._life = None
        if self._renewal is not None:  # not cancelled: those who wait for it would be, too
            await asyncio.wait((self._renewal,))
        link, self._link = self._link, None
        if link is not None:
            link.lose(broken(self._label, None))
            await link.gone

    async def aclose(self) -> None:
        if self._life is not None:
            await self._life.aclose()
