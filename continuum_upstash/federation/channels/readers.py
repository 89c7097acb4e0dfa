"""Readers of channels: in a thread, and in a task. Both deliver the items of their cursors."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Generator, Mapping
from time import monotonic
from typing import Any, Final, NamedTuple

from continuum_upstash.errors import Unavailable
from continuum_upstash.federation.channels.cursor import Cursor, Cursors, Item
from continuum_upstash.federation.channels.events import EventId
from continuum_upstash.federation.channels.feed import Feed, StreamLimits, Waker
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import adrive, drive
from continuum_upstash.transports.registry import Database

# Before missed events are read again, when the database was unavailable.
_RETRY_SECONDS: Final = 1.0


class _Wait(NamedTuple):
    """An effect: wait until the reader is woken, or for `seconds`; None: without end."""

    seconds: float | None


class _ThreadWaker:
    """Wakes a thread."""

    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        self._changed = threading.Event()
        self.wake = self._changed.set
        self.clear = self._changed.clear
        self.wait = self._changed.wait


class _TaskWaker:
    """Wakes a task of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop | None = loop
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._has_changed = False

    def wake(self) -> None:
        self._has_changed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        self._has_changed = False

    async def wait(self, timeout: float | None) -> None:
        if self._has_changed:
            return
        self._waiter = waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, self.wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()


class _Attachment:
    """A reader's channels: attached until `close`, or until the reader is collected.

    Attributes:
        cursors: its positions.
        items: what was taken and not yet delivered.
        is_closed: whether `close` was called.
    """

    def __init__(
        self,
        database: Database,
        positions: Mapping[str, EventId | int | None],
        limits: StreamLimits,
        waker: _ThreadWaker | _TaskWaker,
        one_page: bool,
    ) -> None:
        hub = database.extras.get(Hub, lambda: Hub(database))
        feeds = [hub.attach(channel, limits, waker) for channel in positions]
        self.items: deque[Item] = deque()
        self.cursors = Cursors(
            [Cursor(feed, positions[feed.channel], one_page=one_page) for feed in feeds]
        )
        self._waker = waker
        self.is_closed = False
        self._finalizer = weakref.finalize(self, _detach, hub, feeds, waker)
        self._finalizer.atexit = False

    def receive(self, timeout: float | None) -> Generator[Batch | _Wait, Any, list[Item]]:
        """Return the next items, as `receive_all` of the readers does."""
        ends_at = None if timeout is None else monotonic() + timeout
        while not self.is_closed:
            self._waker.clear()
            items = self.cursors.take()
            left = None if ends_at is None else ends_at - monotonic()
            if not items and (batch := self.cursors.get_batch()) is not None:
                try:
                    items = self.cursors.add_replies((yield batch))
                    if not items:
                        continue
                except Unavailable:
                    left = _RETRY_SECONDS if left is None else min(left, _RETRY_SECONDS)
            if items or (left is not None and left <= 0):
                return items
            yield _Wait(left)
        return []

    def close(self) -> None:
        self.is_closed = True
        self._finalizer()


def _detach(hub: Hub, feeds: list[Feed], waker: Waker) -> None:
    for feed in feeds:
        hub.detach(feed, waker)


class ThreadReader:
    """Reads channels in sync code, in one thread at a time."""

    def __init__(
        self,
        database: Database,
        positions: Mapping[str, EventId | int | None],
        limits: StreamLimits,
        *,
        one_page: bool = False,
    ) -> None:
        self._database = database
        self._waker = _ThreadWaker()
        self._channels = _Attachment(database, positions, limits, self._waker, one_page)

    def receive(self, timeout: float | None = None) -> Item | None:
        """Return the next item; None where `receive_all` returns none."""
        items = self._channels.items
        if not items:
            items.extend(self.receive_all(timeout))
        return items.popleft() if items else None

    def receive_all(self, timeout: float | None = None) -> list[Item]:
        """Return the next items that are there, at least one.

        There are none after `timeout` seconds, or once the reader is closed.

        Raises:
            ReplyError, ConfigurationError: a channel cannot be read.
        """
        return drive(self._channels.receive(timeout), self._perform)

    def _perform(self, effect: Batch | _Wait) -> Any:
        if isinstance(effect, Batch):
            return self._database.send(effect)
        return self._waker.wait(effect.seconds)

    def close(self) -> None:
        """Stop reading; may be called from another thread."""
        self._channels.close()
        self._waker.wake()


class TaskReader:
    """Reads channels in async code, in one task at a time; it belongs to the running loop."""

    def __init__(
        self,
        database: Database,
        positions: Mapping[str, EventId | int | None],
        limits: StreamLimits,
        *,
        one_page: bool = False,
    ) -> None:
        self._database = database
        self._waker = _TaskWaker(asyncio.get_running_loop())
        self._channels = _Attachment(database, positions, limits, self._waker, one_page)

    async def receive(self, timeout: float | None = None) -> Item | None:
        """Return the next item; None where `receive_all` returns none."""
        items = self._channels.items
        if not items:
            items.extend(await self.receive_all(timeout))
        return items.popleft() if items else None

    async def receive_all(self, timeout: float | None = None) -> list[Item]:
        """Return the next items that are there, at least one.

        There are none after `timeout` seconds, or once the reader is closed.

        Raises:
            ReplyError, ConfigurationError: a channel cannot be read.
        """
        return await adrive(self._channels.receive(timeout), self._perform)

    async def _perform(self, effect: Batch | _Wait) -> Any:
        if isinstance(effect, Batch):
            return await self._database.asend(effect)
        return await self._waker.wait(effect.seconds)

    def close(self) -> None:
        """Stop reading."""
        self._channels.close()
        self._waker.wake()
