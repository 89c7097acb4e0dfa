"""One async connection that many tasks share: messages go out, replies come back in that order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final, cast

from hiredis import ProtocolError

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports.network_errors import broken, too_late
from continuum_upstash.transports.redis.errors import garbled, silent
from continuum_upstash.transports.redis.resp2 import INCOMPLETE, Replying, never
from continuum_upstash.transports.sockets import abandon

_READ_SIZE: Final = 65536


class _Question:
    """A message, and the future of who waits for its replies."""

    __slots__ = ("answer", "count", "deadline", "message", "replies")

    def __init__(
        self, message: bytes, count: int, deadline: float, answer: asyncio.Future[list[Any]]
    ) -> None:
        self.message = message
        self.count = count
        self.deadline = deadline
        self.answer = answer
        self.replies: list[Any] = []


class AsyncLink(asyncio.BufferedProtocol):
    """A connection of the running loop, until it is lost.

    Times are seconds of the loop's clock. All questions of a link have the same time-out, so the
    oldest one's deadline is the next, and one alarm serves them all.

    Attributes:
        heard_at: the last sign of life.
        gone: done when the socket is closed.
    """

    def __init__(self, label: str, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._label = label
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._replying = Replying()
        self._buffer = memoryview(bytearray(_READ_SIZE))
        self._held: deque[_Question] = deque()  # no byte of them has gone out
        self._asked: deque[_Question] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._sign_by = inf
        self._may_leave: Callable[[], bool] = never
        self._paused = False
        self._end: ConnectionFailed | None = None
        self.heard_at = self._loop.time()
        self.gone = self._loop.create_future()

    @property
    def usable(self) -> bool:
        return self._open and not self._replying.outdated

    @property
    def _open(self) -> bool:
        # asyncio knows of an end before it tells: connection_lost comes one turn later.
        return self._transport is not None and not self._transport.is_closing()

    def ask(
        self, message: bytes, count: int, deadline: float, may_leave: Callable[[], bool] = never
    ) -> asyncio.Future[list[Any]]:
        """Return the future of the `count` replies to a message; it may be cancelled.

        Args:
            message: whole commands.
            count: how many replies they have.
            deadline: when the replies must be complete, or the link is lost.
            may_leave: asked when half of the time is up without a byte, on a link that was
                idle: whether to give it up for dead.
        """
        if not self._open:
            raise ConnectionFailed(str(self._end or broken(self._label, None)), unsent=True)
        question = _Question(message, count, deadline, self._loop.create_future())
        if self._asked or self._held:
            # Others wait, too: what is asked in one turn of the loop goes out as one write.
            if not self._held and not self._paused:
                self._loop.call_soon(self._flush)
            self._held.append(question)
        else:
            self._sign_by = (self._loop.time() + deadline) / 2
            self._may_leave = may_leave
            self._held.append(question)
            self._flush()
        self._watch(min(deadline, self._sign_by))
        return question.answer

    def _flush(self) -> None:
        if self._paused or self._transport is None:
            return
        wanted = [question for question in self._held if not question.answer.done()]
        self._held.clear()
        if not wanted:
            return
        self._asked.extend(wanted)
        # Not writelines: before Python 3.13.2 it did not say when the buffers are full.
        self._transport.write(b"".join([question.message for question in wanted]))

    def _watch(self, due: float) -> None:
        if self._alarm is not None:
            if self._alarm.when() <= due:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(due, self._check)

    def _check(self) -> None:
        self._alarm = None
        oldest = next(iter(self._asked or self._held), None)
        if oldest is None:
            return
        now = self._loop.time()
        if now >= oldest.deadline:
            if not oldest.answer.done():
                oldest.answer.set_exception(too_late(self._label, self._timeout))
            # Its replies may come yet, and would be taken for the next one's.
            self.lose(broken(self._label, None))
        elif now < self._sign_by:
            self._watch(min(oldest.deadline, self._sign_by))
        elif self._sending or not self._may_leave():
            self._sign_by = inf
            self._watch(oldest.deadline)
        else:
            self.lose(silent(self._label))

    @property
    def _sending(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def lose(self, reason: ConnectionFailed) -> None:
        """Close the connection; those who wait are told the reason, and whether they were sent."""
        self._end = self._end or reason
        if self._asked and self._transport is not None:
            abandon(self._transport.get_extra_info("socket"))
        for questions, unsent in ((self._asked, False), (self._held, True)):
            for question in questions:
                if not question.answer.done():
                    question.answer.set_exception(ConnectionFailed(str(reason), unsent=unsent))
            questions.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.heard_at = self._loop.time()
        self._sign_by = inf
        try:
            self._replying.feed(self._buffer, 0, nbytes)
            while (reply := self._replying.next()) is not INCOMPLETE:
                self._take(reply)
        except ProtocolError:
            self.lose(garbled(self._label))
        if self._replying.outdated and not (self._asked or self._held):
            self.lose(broken(self._label, None))

    def _take(self, reply: Any) -> None:
        if not self._asked:
            raise ProtocolError("a reply to nothing")
        question = self._asked[0]
        question.replies.append(reply)
        if len(question.replies) == question.count:
            self._asked.popleft()
            if not question.answer.done():
                question.answer.set_result(question.replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose(broken(self._label, exc if isinstance(exc, OSError) else None))
        if not self.gone.done():
            self.gone.set_result(None)
