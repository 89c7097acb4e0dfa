"""The sync TCP transport: packed commands over sockets of our own.

A redis-py pool only says how to connect (see `socket_connector`). Its client layer costs twice the
CPU, and an exception in the middle of a call makes its pool lose a connection for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from time import monotonic

from redis import ConnectionPool as RedisPyPool

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, Unavailable
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.pool import ConnectionPool, Slot
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.connection import RedisConnection
from continuum_upstash.transports.redis.options import (
    get_connect_timeout,
    get_health_check_interval,
    get_read_timeout,
    make_pool,
    make_pool_options,
)
from continuum_upstash.transports.redis.socket_connector import SocketConnector


def make_plain_pool(config: Config) -> RedisPyPool:
    """Return the pool of a client without Django; it has no connection yet."""
    return make_pool(config, partial(RedisPyPool.from_url, **make_pool_options(config)))


class RedisTransport:
    """Sends batches over at most as many connections as redis-py's pool allows."""

    name = "upstash-redis"

    def __init__(self, config: Config, pool: RedisPyPool) -> None:
        self._label = config.label
        self._key_locking = config.is_upstash
        self._connect_timeout = get_connect_timeout(config, pool)
        self._read_timeout = get_read_timeout(config, pool)
        self._health_check_interval = get_health_check_interval(pool)
        self._connector = SocketConnector(pool, config.label, self._connect_timeout)
        self._size = pool.max_connections
        self._reset()

    def _reset(self) -> None:
        self._pool = ConnectionPool[RedisConnection](self._size, self._label)
        self._pid = os.getpid()

    def send(self, batch: Batch) -> Replies:
        message = resp2.pack(batch, key_locking=self._key_locking)
        deadline = Deadline(self._read_timeout, batch.deadline_s)
        if self._pid != os.getpid():
            self._reset()  # the idle connections are the parent's
        slot: Slot[RedisConnection] = Slot()
        try:  # they end with `return`, since CPython does not protect what may follow it
            try:
                self._pool.acquire(slot, deadline)
                replies = self._exchange(slot, batch, message, deadline)
                if slot.connection and not slot.connection.reusable:
                    self._pool.close()  # READONLY: the others may be to the same replica
                return resp2.check_replies(replies, batch, self._label)
            except Unavailable:
                # The idle connections have been silent for longer, to the same address.
                self._pool.close()
                raise
            finally:
                self._pool.release(slot)
        finally:
            slot.claim = None  # release may have been interrupted

    def _exchange(
        self, slot: Slot[RedisConnection], batch: Batch, message: bytes, deadline: Deadline
    ) -> Replies:
        """Send over the idle connection that was used last, else over a new one.

        An idle connection may have been dropped without notice. A retryable batch detects that
        within half of its time and is sent again; a PING precedes any other batch. A failure of a
        new connection is the server's, and is not retried.
        """
        count = resp2.count_replies(batch)
        retryable = partial(is_retryable, batch)  # only called after a failure: it costs CPU
        connection = slot.connection
        is_fresh = (
            connection is not None
            and monotonic() - connection.last_reply_at < self._health_check_interval
        )
        if connection is not None and (is_fresh or self._is_healthy(connection, retryable)):
            try:
                return connection.send(message, count, deadline, retryable)
            except ConnectionFailed as error:
                if not (error.unsent or retryable()):
                    raise
        if connection is not None:
            connection.close()
            self._pool.close()
        slot.connection = self._connector.connect(deadline)
        return slot.connection.send(message, count, deadline)

    def _is_healthy(self, connection: RedisConnection, retryable: Callable[[], bool]) -> bool:
        """Return whether a connection that was idle for long may carry a batch."""
        if retryable():
            return True
        try:
            connection.send(resp2.PING, 1, Deadline(self._read_timeout / 2))
        except Unavailable:
            return False
        return True

    def close(self) -> None:
        self._pool.close()
