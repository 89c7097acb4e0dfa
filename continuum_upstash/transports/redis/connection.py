"""One sync connection: a message out, its replies in, before one deadline."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ssl import SSLSocket
from time import monotonic
from typing import Final, cast

from hiredis import ProtocolError
from redis import Connection
from redis.exceptions import RedisError

from continuum_upstash.protocol import Replies
from continuum_upstash.transports.network_errors import broken, too_late
from continuum_upstash.transports.redis.errors import garbled, silent
from continuum_upstash.transports.redis.resp2 import INCOMPLETE, Replying, never
from continuum_upstash.transports.sockets import RECORD_BYTES, abandon

_READ_SIZE: Final = 65536


class Link:
    """A connected redis-py connection, over whose socket we talk ourselves.

    After an error it must not be used again: replies may still be on their way.

    Attributes:
        connection: its pool made it and takes it back.
        heard_at: monotonic seconds of the last sign of life.
    """

    __slots__ = ("_buffer", "_label", "_replying", "_socket", "_timeout", "connection", "heard_at")

    def __init__(self, connection: Connection, label: str, timeout: float) -> None:
        self.connection = connection
        self.heard_at = monotonic()
        self._label = label
        self._timeout = timeout
        self._replying = Replying()
        self._buffer = bytearray(_READ_SIZE)
        self._socket = cast("socket.socket", connection._sock)  # noqa: SLF001 no public way to it

    @property
    def in_step(self) -> bool:
        """Whether the server has neither hung up nor said what nobody asked for."""
        try:
            return not (self._replying.has_more() or self.connection.can_read())
        except RedisError:
            return False

    @property
    def outdated(self) -> bool:
        return self._replying.outdated

    def abandon(self) -> None:
        """Have what was not answered not arrive later."""
        abandon(self._socket)

    def ask(
        self, message: bytes, count: int, deadline: float, may_leave: Callable[[], bool] = never
    ) -> Replies:
        """Return the `count` replies to a message.

        Args:
            message: whole commands.
            count: how many replies they have.
            deadline: monotonic seconds.
            may_leave: asked when half of the time is up without a byte: whether to give the
                connection up for dead.

        Raises:
            ConnectionFailed: the connection broke; `unsent` if surely before the first byte
                went out.
            DeadlineExceeded: the replies were not complete in time.
        """
        try:
            self._write(message, deadline)
            return self._read(count, deadline, may_leave)
        except TimeoutError as error:
            raise too_late(self._label, self._timeout) from error
        except OSError as error:
            raise broken(self._label, error) from error
        except ProtocolError as error:
            raise garbled(self._label) from error

    def _write(self, message: bytes, deadline: float) -> None:
        sent = 0
        while sent < len(message):
            self._socket.settimeout(_left(deadline))
            try:
                sent += self._socket.send(memoryview(message)[sent:])
            except ConnectionError as error:
                if sent:
                    return  # the server may have said why it hung up: an argument is too large
                whole = len(message) <= RECORD_BYTES or not isinstance(self._socket, SSLSocket)
                raise broken(self._label, error, unsent=whole) from error

    def _read(self, count: int, deadline: float, may_leave: Callable[[], bool]) -> Replies:
        feed, next_reply = self._replying.feed, self._replying.next
        replies: Replies = []
        until = (monotonic() + deadline) / 2
        while len(replies) < count:
            self._socket.settimeout(_left(until))
            try:
                received = self._socket.recv_into(self._buffer)
            except TimeoutError:
                if until == deadline:
                    raise
                if may_leave():
                    raise silent(self._label) from None
                until = deadline
                continue
            if not received:
                raise broken(self._label, None)
            until = deadline
            feed(self._buffer, 0, received)
            while (reply := next_reply()) is not INCOMPLETE:
                replies.append(reply)
        if len(replies) > count:
            raise garbled(self._label)
        self.heard_at = monotonic()
        return replies


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
