"""The sync TCP transport: packed commands on the connections of a redis-py pool.

The pool and its options make the connections; from then on we talk over their sockets. redis-py's
own way costs twice the CPU, and its time-out starts anew with every piece of a reply.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic

from redis import ConnectionPool
from redis.exceptions import RedisError

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, Unavailable
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.network_errors import all_busy
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.connection import Link
from continuum_upstash.transports.redis.errors import not_connected
from continuum_upstash.transports.redis.options import (
    connect_timeout,
    health_check_interval,
    make_pool,
    pool_options,
    read_timeout,
)


def plain_pool(config: Config) -> ConnectionPool:
    """Return the pool of a client without Django; it has no connection yet."""
    return make_pool(config, partial(ConnectionPool.from_url, **pool_options(config)))


class Redis:
    """Sends batches over at most as many connections as its pool allows."""

    name = "upstash-redis"

    def __init__(self, config: Config, pool: ConnectionPool) -> None:
        self._label = config.label
        self._key_locking = config.is_upstash
        self._connect_timeout = connect_timeout(config, pool)
        self._timeout = read_timeout(config, pool)
        self._doubt_after = health_check_interval(pool)
        self._pool = pool
        self._begin()

    def _begin(self) -> None:
        self._idle: list[Link] = []  # the last one used is the first one taken
        self._slots = SimpleQueue[None]()  # as a semaphore, at a third of its cost
        for _ in range(self._pool.max_connections):
            self._slots.put(None)
        self._pid = os.getpid()

    def send(self, batch: Batch) -> Replies:
        message = resp2.pack(batch, key_locking=self._key_locking)
        timeout = batch.effective_timeout(self._timeout)
        deadline = monotonic() + timeout
        if self._pid != os.getpid():
            self._begin()  # the idle connections are the parent's
        slots = self._slots
        try:
            slots.get(timeout=timeout)
        except Empty:
            raise all_busy(self._label, self._pool.max_connections, timeout) from None
        if batch.deadline_s is None:  # what we waited for here is not the server's time
            deadline = monotonic() + timeout
        try:
            replies = self._converse(batch, message, deadline)
        finally:
            slots.put(None)
        return resp2.settle(replies, batch, self._label)

    def _converse(self, batch: Batch, message: bytes, deadline: float) -> Replies:
        """Ask over the idle connection that was used last, or else over a new one.

        An idle connection may have gone dead without a word. A batch that is safe to repeat finds
        out by itself, within half of its time; ahead of any other goes a PING. What breaks on a
        new connection is the server's trouble, and not tried again.
        """
        count = resp2.reply_count(batch)
        repeatable = partial(is_retryable, batch)  # asked in trouble only: it reads the batch
        link = self._take(repeatable)
        if link is not None:
            try:
                return self._ask(link, message, count, deadline, repeatable)
            except ConnectionFailed as error:
                if not (error.unsent or repeatable()):
                    raise
        return self._ask(self._connect(), message, count, deadline)

    def _take(self, repeatable: Callable[[], bool]) -> Link | None:
        link = self._take_in_step()
        if link is None or monotonic() - link.heard_at < self._doubt_after or repeatable():
            return link
        with suppress(Unavailable):
            self._ask(link, resp2.PING, 1, monotonic() + self._timeout / 2)
        return self._take_in_step()

    def _take_in_step(self) -> Link | None:
        while (link := self._pop()) is not None:
            if link.in_step:
                return link
            self._discard(link)
        return None

    def _pop(self) -> Link | None:
        try:
            return self._idle.pop()
        except IndexError:  # not asked beforehand: other threads pop, too
            return None

    def _ask(
        self,
        link: Link,
        message: bytes,
        count: int,
        deadline: float,
        may_leave: Callable[[], bool] = resp2.never,
    ) -> Replies:
        """Ask, and keep the connection if all went well.

        If not, the idle ones go, too: they were silent for longer, and had the same address.
        """
        reusable = False
        try:
            replies = link.ask(message, count, deadline, may_leave)
            reusable = not link.outdated
        finally:
            if reusable:
                self._idle.append(link)
            else:
                link.abandon()
                self._discard(link)
                self._drop_idle()
        return replies

    def _connect(self) -> Link:
        try:
            return Link(self._pool.get_connection(), self._label, self._timeout)
        except (RedisError, OSError) as error:
            raise not_connected(error, self._label, self._connect_timeout) from error

    def _discard(self, link: Link) -> None:
        link.connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's gap
        self._pool.release(link.connection)

    def _drop_idle(self) -> None:
        while (link := self._pop()) is not None:
            self._discard(link)

    def close(self) -> None:
        self._drop_idle()

    def __del__(self) -> None:
        # redis-py's connections are parts of cycles, whose sockets Python would complain about.
        self.close()
