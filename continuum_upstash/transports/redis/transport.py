"""The sync TCP transport: packed commands over the connections of a redis-py pool.

The pool and its options open the connections; then this package uses their sockets (see
`connection`). redis-py's client layer costs twice the CPU.
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
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.network_errors import pool_exhausted
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.connection import RedisConnection
from continuum_upstash.transports.redis.options import (
    get_connect_timeout,
    get_health_check_interval,
    get_read_timeout,
    make_pool,
    make_pool_options,
)
from continuum_upstash.transports.redis.redis_errors import connect_error


def make_plain_pool(config: Config) -> ConnectionPool:
    """Return the pool of a client without Django; it has no connection yet."""
    return make_pool(config, partial(ConnectionPool.from_url, **make_pool_options(config)))


class RedisTransport:
    """Sends batches over at most as many connections as its pool allows."""

    name = "upstash-redis"

    def __init__(self, config: Config, pool: ConnectionPool) -> None:
        self._label = config.label
        self._key_locking = config.is_upstash
        self._connect_timeout = get_connect_timeout(config, pool)
        self._read_timeout = get_read_timeout(config, pool)
        self._health_check_interval = get_health_check_interval(pool)
        self._pool = pool
        self._reset()

    def _reset(self) -> None:
        self._idle: list[RedisConnection] = []  # the last one used is the first to be used again
        self._slots = SimpleQueue[None]()  # a semaphore, at a third of the cost of threading's
        for _ in range(self._pool.max_connections):
            self._slots.put(None)
        self._pid = os.getpid()

    def send(self, batch: Batch) -> Replies:
        message = resp2.pack(batch, key_locking=self._key_locking)
        deadline = Deadline(self._read_timeout, batch.deadline_s)
        if self._pid != os.getpid():
            self._reset()  # the idle connections are the parent's
        slots = self._slots
        try:
            slots.get_nowait()
        except Empty:
            self._wait_for_slot(slots, deadline)
        try:
            replies = self._exchange(batch, message, deadline)
        finally:
            slots.put(None)
        return resp2.check_replies(replies, batch, self._label)

    def _wait_for_slot(self, slots: SimpleQueue[None], deadline: Deadline) -> None:
        """Wait until a connection is released; that is not the server's time."""
        started = monotonic()
        try:
            slots.get(timeout=deadline.seconds)
        except Empty:
            size = self._pool.max_connections
            raise pool_exhausted(self._label, size, deadline.seconds) from None
        deadline.extend(monotonic() - started)

    def _exchange(self, batch: Batch, message: bytes, deadline: Deadline) -> Replies:
        """Send over the idle connection that was used last, else over a new one.

        An idle connection may have been dropped without notice. A retryable batch detects that
        within half of its time and is sent again; a PING precedes any other batch. A failure of a
        new connection is the server's, and is not retried.
        """
        count = resp2.count_replies(batch)
        retryable = partial(is_retryable, batch)  # only called after a failure: it costs CPU
        connection = self._acquire(retryable)
        if connection is not None:
            try:
                return self._send(connection, message, count, deadline, retryable)
            except ConnectionFailed as error:
                if not (error.unsent or retryable()):
                    raise
        return self._send(self._connect(), message, count, deadline)

    def _acquire(self, retryable: Callable[[], bool]) -> RedisConnection | None:
        connection = self._pop_usable()
        if (
            connection is None
            or monotonic() - connection.last_reply_at < self._health_check_interval
            or retryable()
        ):
            return connection
        with suppress(Unavailable):
            self._send(connection, resp2.PING, 1, Deadline(self._read_timeout / 2))
        return self._pop_usable()

    def _pop_usable(self) -> RedisConnection | None:
        while (connection := self._pop_idle()) is not None:
            if connection.is_clean:
                return connection
            self._discard(connection)
        return None

    def _pop_idle(self) -> RedisConnection | None:
        try:
            return self._idle.pop()
        except IndexError:  # no check beforehand: other threads pop, too
            return None

    def _send(
        self,
        connection: RedisConnection,
        message: bytes,
        count: int,
        deadline: Deadline,
        may_give_up: Callable[[], bool] = lambda: False,
    ) -> Replies:
        """Send, and keep the connection if all went well.

        If not, the idle ones are closed, too: they have been silent for longer, to the same
        address.
        """
        reusable = False
        try:
            replies = connection.send(message, count, deadline, may_give_up)
            reusable = not connection.saw_readonly
        finally:
            if reusable:
                self._idle.append(connection)
            else:
                connection.reset_on_close()
                self._discard(connection)
                self._close_idle()
        return replies

    def _connect(self) -> RedisConnection:
        try:
            return RedisConnection(self._pool.get_connection(), self._label)
        except (RedisError, OSError) as error:
            raise connect_error(error, self._label, self._connect_timeout) from error

    def _discard(self, connection: RedisConnection) -> None:
        connection.connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's gap
        self._pool.release(connection.connection)

    def _close_idle(self) -> None:
        while (connection := self._pop_idle()) is not None:
            self._discard(connection)

    def close(self) -> None:
        self._close_idle()

    def __del__(self) -> None:
        # redis-py's connections are parts of reference cycles; Python warns of their open sockets.
        self.close()
