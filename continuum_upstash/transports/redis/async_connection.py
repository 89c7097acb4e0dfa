"""One async connection that many tasks share: replies arrive in the order of the requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final, cast

from hiredis import ProtocolError

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.redis.redis_errors import protocol_error, stale_connection
from continuum_upstash.transports.redis.resp2 import INCOMPLETE, ReplyReader
from continuum_upstash.transports.sockets import LATE_READS, make_readable_check, reset_on_close

_READ_SIZE: Final = 65536

# The server works on the first requests of a tick while the other tasks make theirs.
_FLUSH_REQUESTS: Final = 32


class _PendingRequest:
    """A message, and the future that its caller awaits."""

    __slots__ = ("count", "deadline", "message", "replies", "result")

    def __init__(
        self,
        message: bytes | memoryview,
        count: int,
        deadline: float,
        result: asyncio.Future[list[Any]],
    ) -> None:
        self.message = message
        self.count = count
        self.deadline = deadline
        self.result = result
        self.replies: list[Any] = []


class AsyncRedisConnection(asyncio.BufferedProtocol):
    """A connection of the running event loop.

    Times are seconds of the loop's clock. All requests of a connection have the same timeout, so
    the oldest one has the earliest deadline, and one timer is enough.

    Attributes:
        last_reply_at: when bytes were last received.
        closed: done when the socket is closed.
    """

    def __init__(self, label: str, timeout: float, secrets: Sequence[str] = ()) -> None:
        self._loop = asyncio.get_running_loop()
        self._label = label
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader(secrets)
        self._buffer = memoryview(bytearray(_READ_SIZE))
        self._unsent: deque[_PendingRequest] = deque()  # no byte of them was written
        self._in_flight: deque[_PendingRequest] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = inf
        self._late_reads = LATE_READS
        self._is_readable: Callable[[], object] = lambda: False
        self._liveness_deadline = inf
        self._may_give_up: Callable[[], bool] = lambda: False
        self._is_paused = False
        self._close_reason: ConnectionFailed | None = None
        self.last_reply_at = self._loop.time()
        self.closed = self._loop.create_future()

    @property
    def is_usable(self) -> bool:
        # asyncio calls connection_lost one tick after the end of the connection.
        transport = self._transport
        is_open = transport is not None and not transport.is_closing()
        return is_open and not self._reader.saw_readonly

    def send(
        self,
        message: bytes | memoryview,
        count: int,
        deadline: float,
        may_give_up: Callable[[], bool] = lambda: False,
    ) -> asyncio.Future[list[Any]]:
        """Return the future of the `count` replies to a message; it may be cancelled.

        Args:
            message: whole commands.
            count: how many replies they have.
            deadline: when the replies must be complete; if they are not, the connection is closed.
            may_give_up: called if half of the time has passed without a byte, on a connection that
                was idle: returns whether to treat the connection as stale.

        Raises:
            ConnectionFailed: the connection is not usable; nothing was sent.
        """
        if not self.is_usable:
            reason = self._close_reason or network_errors.connection_lost(self._label, None)
            raise ConnectionFailed(str(reason), unsent=True)
        request = _PendingRequest(message, count, deadline, self._loop.create_future())
        if self._in_flight or self._unsent:
            # Other tasks wait, too: the messages of one tick are sent with few writes.
            if not self._unsent and not self._is_paused:
                self._loop.call_soon(self._flush)
            self._unsent.append(request)
            if len(self._unsent) == _FLUSH_REQUESTS:
                self._flush()
        else:
            self._liveness_deadline = (self._loop.time() + deadline) / 2
            self._may_give_up = may_give_up
            self._unsent.append(request)
            self._flush()
        due = min(deadline, self._liveness_deadline)
        if due < self._timer_due:
            self._set_timer(due)
        return request.result

    def _flush(self) -> None:
        if self._is_paused or self._transport is None:
            return
        messages = []
        for request in self._unsent:
            if not request.result.done():
                self._in_flight.append(request)
                messages.append(request.message)
        self._unsent.clear()
        if messages:
            # Not writelines: before Python 3.13.2 it did not pause writing when the buffers were
            # full.
            self._transport.write(b"".join(messages))

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = self._loop.call_at(due, self._on_timer), due

    def _on_timer(self) -> None:
        self._timer, self._timer_due = None, inf
        oldest = next(iter(self._in_flight or self._unsent), None)
        if oldest is None:
            return
        now = self._loop.time()
        is_due = now >= min(oldest.deadline, self._liveness_deadline)
        if is_due and self._late_reads and self._is_readable():
            # The loop was busy: what has arrived in time is read first.
            self._late_reads -= 1
            self._set_timer(now)
        elif now >= oldest.deadline:
            if not oldest.result.done():
                oldest.result.set_exception(
                    network_errors.read_timed_out(self._label, self._timeout)
                )
            # Its replies may still arrive, and would be taken for those of the next request.
            self.close(network_errors.connection_lost(self._label, None))
        elif now < self._liveness_deadline:
            self._set_timer(min(oldest.deadline, self._liveness_deadline))
        elif self._is_writing or not self._may_give_up():
            self._liveness_deadline = inf
            self._set_timer(oldest.deadline)
        else:
            self.close(stale_connection(self._label))

    @property
    def _is_writing(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def close(self, reason: ConnectionFailed) -> None:
        """Close the connection; each pending request fails with `reason`, sent or unsent."""
        self._close_reason = self._close_reason or reason
        if self._in_flight and self._transport is not None:
            reset_on_close(self._transport.get_extra_info("socket"))
        for requests, unsent in ((self._in_flight, False), (self._unsent, True)):
            for request in requests:
                if not request.result.done():
                    request.result.set_exception(ConnectionFailed(str(reason), unsent=unsent))
            requests.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def hand_over(self) -> asyncio.Transport:
        """Return an idle connection's transport for another protocol; do not use this again."""
        assert self._transport is not None
        if self._timer is not None:
            self._timer.cancel()
        return self._transport

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_readable = make_readable_check(transport.get_extra_info("socket").fileno())

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.last_reply_at = self._loop.time()
        self._liveness_deadline = inf
        next_reply, in_flight = self._reader.next, self._in_flight
        try:
            self._reader.feed(self._buffer, 0, nbytes)
            while (reply := next_reply()) is not INCOMPLETE:
                request = in_flight[0]
                request.replies.append(reply)
                if len(request.replies) == request.count:
                    in_flight.popleft()
                    self._late_reads = LATE_READS
                    if not request.result.done():
                        request.result.set_result(request.replies)
        except (ProtocolError, IndexError):  # IndexError: a reply without a request
            self.close(protocol_error(self._label))
        if self._reader.saw_readonly and not (self._in_flight or self._unsent):
            self.close(network_errors.connection_lost(self._label, None))

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(
            network_errors.connection_lost(self._label, exc if isinstance(exc, OSError) else None)
        )
        if not self.closed.done():
            self.closed.set_result(None)
