"""One sync connection: sends a batch and reads its replies within one deadline.

It uses the socket of a redis-py connection, which has no public name. Measured with redis-py 8.1 on
loopback, the public `send_packed_command` and `read_response` cost 3 to 5 % more CPU per cache.get
(21.1 -> 22.1 µs, the median of 4 interleaved runs). That is not why they are not used: their
timeout starts again with each received piece, so a slow partial reply would have no limit; after a
failed write they say neither whether a byte was sent (an INCR could not be repeated safely) nor
what the server replied; and unacknowledged data could not be discarded on close.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ssl import SSLSocket
from time import monotonic
from typing import Final, cast

from hiredis import ProtocolError
from redis import Connection

from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.network_errors import connection_lost
from continuum_upstash.transports.redis.redis_errors import protocol_error, stale_connection
from continuum_upstash.transports.redis.resp2 import INCOMPLETE, ReplyReader
from continuum_upstash.transports.sockets import RECORD_BYTES, make_readable_check, reset_on_close

_READ_SIZE: Final = 65536


class RedisConnection:
    """A connected redis-py connection, whose socket is used directly.

    It must not be used again after an error: replies may still arrive.

    Attributes:
        connection: the pool's.
        last_reply_at: monotonic seconds.
    """

    __slots__ = (
        "_buffer",
        "_is_readable",
        "_label",
        "_reader",
        "_socket",
        "connection",
        "last_reply_at",
    )

    def __init__(self, connection: Connection, label: str) -> None:
        self.connection = connection
        self.last_reply_at = monotonic()
        self._label = label
        self._reader = ReplyReader()
        self._buffer = bytearray(_READ_SIZE)
        self._socket = cast("socket.socket", connection._sock)  # noqa: SLF001 no public name
        self._is_readable = make_readable_check(self._socket.fileno())

    @property
    def is_clean(self) -> bool:
        """Whether the server has neither closed it nor sent anything without a request."""
        has_decrypted = isinstance(self._socket, SSLSocket) and self._socket.pending()
        return not (self._reader.has_more() or has_decrypted or self._is_readable())

    @property
    def saw_readonly(self) -> bool:
        return self._reader.saw_readonly

    def reset_on_close(self) -> None:
        """Discard unsent and unacknowledged data when it is closed."""
        reset_on_close(self._socket)

    def send(
        self,
        message: bytes,
        count: int,
        deadline: Deadline,
        may_give_up: Callable[[], bool] = lambda: False,
    ) -> Replies:
        """Return the `count` replies to a message.

        Args:
            message: whole commands.
            count: how many replies they have.
            deadline: when the replies must be complete.
            may_give_up: called if half of the time has passed without a byte: returns whether to
                treat the connection as stale.

        Raises:
            ConnectionFailed: the connection was lost; `unsent` is True if certainly no byte was
                sent.
            DeadlineExceeded: the replies were not complete in time.
        """
        try:
            self._write(message, deadline)
            return self._read(count, deadline, may_give_up)
        except TimeoutError as error:
            raise deadline.timeout_error(self._label) from error
        except OSError as error:
            raise connection_lost(self._label, error) from error
        except ProtocolError as error:
            raise protocol_error(self._label) from error

    def _write(self, message: bytes, deadline: Deadline) -> None:
        sent = 0
        while sent < len(message):
            self._socket.settimeout(deadline.get_remaining())
            try:
                sent += self._socket.send(memoryview(message)[sent:])
            except ConnectionError as error:
                if sent:
                    return  # the server may have replied why it closes: an argument is too large
                is_atomic = len(message) <= RECORD_BYTES or not isinstance(self._socket, SSLSocket)
                raise connection_lost(self._label, error, unsent=is_atomic) from error

    def _read(self, count: int, deadline: Deadline, may_give_up: Callable[[], bool]) -> Replies:
        feed, next_reply = self._reader.feed, self._reader.next
        replies: Replies = []
        timeout, is_silent = deadline.get_remaining() / 2, True
        while True:
            self._socket.settimeout(timeout)
            try:
                received = self._socket.recv_into(self._buffer)
            except TimeoutError:
                if not is_silent:
                    raise
                if may_give_up():
                    raise stale_connection(self._label) from None
                timeout, is_silent = deadline.get_remaining(), False
                continue
            if not received:
                raise connection_lost(self._label, None)
            feed(self._buffer, 0, received)
            while (reply := next_reply()) is not INCOMPLETE:
                replies.append(reply)
            if len(replies) >= count:
                break
            timeout, is_silent = deadline.get_remaining(), False
        if len(replies) > count:
            raise protocol_error(self._label)
        self.last_reply_at = monotonic()
        return replies
