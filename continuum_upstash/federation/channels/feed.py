"""The newest events of one channel in this process, which all of its readers share.

A feed keeps events in the order of their arrival, and a reader only has a position in it: a slow
reader costs no memory. What a feed has dropped, its readers read from the stream.

Nothing here does I/O; any thread may call it. One thread, the hub's, adds events.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from continuum_upstash.federation.channels.events import START, Event, EventId

MAX_EVENTS: Final = 256
MAX_BYTES: Final = 1024 * 1024


class StreamLimits(NamedTuple):
    """What a stream keeps.

    Attributes:
        max_length: the newest so many events.
        expire_after: seconds after the last event; None: for ever.
    """

    max_length: int
    expire_after: int | None


class Waker(Protocol):
    """Wakes a reader when a feed has changed.

    Attributes:
        loop: the event loop in which `wake` must be called; None: any thread may call it.
    """

    loop: asyncio.AbstractEventLoop | None

    def wake(self) -> None: ...


class Entry:
    """An event in a feed.

    Attributes:
        id: its position in the stream.
        event: the event.
        payload: the event as JSON, as pages receive it; made once for all readers.
    """

    __slots__ = ("event", "id", "payload")

    def __init__(self, event_id: EventId, event: Event) -> None:
        self.id = event_id
        self.event = event
        document = {
            "id": event.id,
            "data": event.data,
            "event": event.event,
            "channel": event.channel,
        }
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        try:
            self.payload = text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which JSON can contain as an escape
            self.payload = json.dumps(document, separators=(",", ":")).encode()


class Feed:
    """The newest events of one channel.

    Attributes:
        channel: its name.
        limits: those of its stream.
        has_started: whether the newest id of the stream was read.
        is_live: whether every event since then is received.
        error: why there will be no more events; None: there may be.
        first: the number of the oldest event that is kept; the first event ever has number 0.
        newest: the newest id that is known.
        gaps: how often events may have been lost, because the stream no longer has them.
        wakers: those of its readers.
    """

    def __init__(self, channel: str, limits: StreamLimits) -> None:
        self.channel = channel
        self.limits = limits
        self.is_live = self.has_started = False
        self.error: Exception | None = None
        self.first = self.gaps = 0
        self.newest = START
        self.wakers: set[Waker] = set()
        self._entries: list[Entry] = []
        self._ids: set[EventId] = set()
        self._bytes = 0
        # Every event after this id is kept.
        self._covered_after = START
        # What was read from the stream when the connection was lost last.
        self._read_from, self._read_to = EventId(1, 0), START
        self._lock = threading.Lock()

    @property
    def end(self) -> int:
        """The number that the next event will have."""
        return self.first + len(self._entries)

    def start(self, newest: EventId) -> None:
        """Begin with the newest id of the stream: events after it will be added."""
        with self._lock:
            self.newest = self._covered_after = newest
            self.is_live = self.has_started = True
        self.notify()

    def suspend(self) -> None:
        """Events may be missed from now on, until `resume`."""
        self.is_live = False

    def resume(self, entries: list[Entry], start: EventId, *, has_gap: bool) -> None:
        """Add the events since the connection was lost, and be live again.

        Args:
            entries: all events of the stream from `start` on. Some may be known already, and some
                may be announced again by messages that have arrived meanwhile.
            start: where reading began.
            has_gap: whether events may be missing.
        """
        with self._lock:
            if has_gap:
                self.gaps += 1
            self._append(
                [
                    entry
                    for entry in entries
                    if entry.id > self._covered_after and entry.id not in self._ids
                ]
            )
            if entries:
                self._read_from, self._read_to = start, entries[-1].id
            self.is_live = True
        self.notify()

    def add(self, entry: Entry) -> None:
        """Add an event that was announced, unless it is known already."""
        with self._lock:
            if entry.id in self._ids or self._read_from <= entry.id <= self._read_to:
                return
            self._append([entry])
        self.notify()

    def fail(self, error: Exception) -> None:
        """End the feed: every reader raises the error."""
        self.error = error
        self.notify()

    def _append(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._entries.append(entry)
            self._ids.add(entry.id)
            self._bytes += len(entry.payload)
            self.newest = max(self.newest, entry.id)
        dropped = max(len(self._entries) - MAX_EVENTS, 0)
        self._bytes -= sum(len(entry.payload) for entry in self._entries[:dropped])
        while self._bytes > MAX_BYTES and dropped < len(self._entries):
            self._bytes -= len(self._entries[dropped].payload)
            dropped += 1
        for entry in self._entries[:dropped]:
            self._ids.discard(entry.id)
            self._covered_after = max(self._covered_after, entry.id)
        del self._entries[:dropped]
        self.first += dropped

    def read(self, number: int, limit: int) -> list[Entry] | None:
        """Return up to `limit` events from a number on; None if the first was dropped."""
        with self._lock:
            if number < self.first:
                return None
            at = number - self.first
            return self._entries[at : at + limit]

    def find(self, since: EventId | int) -> int | None:
        """Return the number of the first event after a position; None if not all are kept.

        After an event that is kept, these are the events that arrived later, whatever their ids:
        two publishers may announce their events in another order than they stored them.
        """
        position = since if isinstance(since, EventId) else EventId(since, -1)
        with self._lock:
            for at, entry in enumerate(self._entries):
                if entry.id == position:
                    return self.first + at + 1
            if position < self._covered_after:
                return None
            at = sum(entry.id <= position for entry in self._entries)
            is_sorted = all(entry.id <= position for entry in self._entries[:at])
            return self.first + at if is_sorted else None

    def notify(self) -> None:
        """Wake every reader; those of one event loop in one call."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
        for waker in tuple(self.wakers):
            if waker.loop is None:
                waker.wake()
            else:
                by_loop.setdefault(waker.loop, []).append(waker.wake)
        for loop, calls in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed, at any moment: it has no readers
                loop.call_soon_threadsafe(_call_all, calls)


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
