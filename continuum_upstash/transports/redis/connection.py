"""One sync connection: sends a batch and reads its replies within one deadline."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from ssl import SSLSocket
from time import monotonic
from typing import Final

from hiredis import ProtocolError

from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.network_errors import connection_lost
from continuum_upstash.transports.redis.redis_errors import protocol_error, stale_connection
from continuum_upstash.transports.redis.resp2 import INCOMPLETE, ReplyReader
from continuum_upstash.transports.sockets import (
    LATE_READS,
    RECORD_BYTES,
    TIMEOUT_TOLERANCE,
    make_readable_check,
    receive_late,
    reset_on_close,
)

_READ_SIZE: Final = 65536


class RedisConnection:
    """A connected socket that carries one message at a time.

    It must not be used again after an error: replies may still arrive.

    Attributes:
        sock: its socket.
        reusable: whether it may carry another message; False while it carries one, and after a
            read-only replica replied.
        last_reply_at: monotonic seconds.
    """

    def __init__(self, sock: socket.socket, label: str, secrets: Sequence[str] = ()) -> None:
        self.sock = sock
        self.reusable = False
        self.last_reply_at = 0.0
        self._label = label
        self._reader = ReplyReader(secrets)
        self._buffer = bytearray(_READ_SIZE)
        self._is_readable = make_readable_check(sock.fileno())

    def is_alive(self) -> bool:
        """Return whether the server has neither closed it nor sent anything without a request."""
        has_decrypted = isinstance(self.sock, SSLSocket) and self.sock.pending()
        return not (self._reader.has_more() or has_decrypted or self._is_readable())

    def close(self) -> None:
        """Close it; after an error, unsent and unacknowledged data are discarded."""
        if not self.reusable:
            reset_on_close(self.sock)
        self.sock.close()

    def __del__(self) -> None:
        self.sock.close()  # a forked child drops the connections of its parent like this

    def send(
        self,
        message: bytes | memoryview,
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
        self.reusable = False
        try:
            # For both the write, which hardly ever waits, and the first read.
            half = deadline.get_remaining() / 2
            if abs((self.sock.gettimeout() or 0.0) - half) > TIMEOUT_TOLERANCE:
                self.sock.settimeout(half)  # a system call
            self._write(message, deadline)
            replies = self._read(count, deadline, may_give_up)
        except TimeoutError as error:
            raise deadline.timeout_error(self._label) from error
        except OSError as error:
            raise connection_lost(self._label, error) from error
        except ProtocolError as error:
            raise protocol_error(self._label) from error
        self.reusable = not self._reader.saw_readonly
        return replies

    def _write(self, message: bytes | memoryview, deadline: Deadline) -> None:
        try:
            sent = self.sock.send(message)
        except TimeoutError:
            sent = 0  # half of the time has passed
        except ConnectionError as error:
            is_atomic = len(message) <= RECORD_BYTES or not isinstance(self.sock, SSLSocket)
            raise connection_lost(self._label, error, unsent=is_atomic) from error
        if sent < len(message):
            self._write_rest(memoryview(message)[sent:], deadline)
            self.sock.settimeout(deadline.get_remaining() / 2)

    def _write_rest(self, rest: memoryview, deadline: Deadline) -> None:
        while rest:
            self.sock.settimeout(deadline.get_remaining())
            try:
                rest = rest[self.sock.send(rest) :]
            except ConnectionError:
                return  # the server may have replied why it closes: an argument is too large

    def _read(self, count: int, deadline: Deadline, may_give_up: Callable[[], bool]) -> Replies:
        feed, next_reply = self._reader.feed, self._reader.next
        receive, buffer = self.sock.recv_into, self._buffer
        replies: Replies = []
        is_silent, late_reads = True, LATE_READS
        while len(replies) < count:
            try:
                if not is_silent:
                    self.sock.settimeout(deadline.get_remaining())
                received = receive(buffer)
            except TimeoutError:
                late_reads -= 1
                late = self._receive_late(may_give_up if is_silent else None)
                if late is None:
                    is_silent = False
                    continue
                if not late_reads:
                    raise
                received = late
            if not received:
                raise connection_lost(self._label, None)
            is_silent = False
            feed(buffer, 0, received)
            while (reply := next_reply()) is not INCOMPLETE:
                replies.append(reply)
        if len(replies) > count:
            raise protocol_error(self._label)
        self.last_reply_at = monotonic()
        return replies

    def _receive_late(self, may_give_up: Callable[[], bool] | None) -> int | None:
        """Return how many bytes had arrived when the time was up.

        Args:
            may_give_up: see `send`; None: the whole time has passed. Otherwise half of it has, and
                the result is None if the connection is not to be given up.
        """
        try:
            return receive_late(self.sock, partial(self.sock.recv_into, self._buffer))
        except TimeoutError:
            if may_give_up is None:
                raise
            if may_give_up():
                raise stale_connection(self._label) from None
            return None
