"""A reader's position in one channel: first the missed events, then the live ones.

Nothing here does I/O. `take` returns what is there, and `get_batch` the command to send where a
part of the stream must be read first; its reply goes to `add_page`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from continuum_upstash.errors import ReplyError
from continuum_upstash.federation.channels import plans
from continuum_upstash.federation.channels.events import START, EventId, decode_entries
from continuum_upstash.federation.channels.feed import Entry, Feed
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies, Reply

_ENTRIES: Final = 100  # per call of `take`


class Connected(NamedTuple):
    """The channel is subscribed to.

    Attributes:
        channel: its name.
        cursor: the position from which a reader may continue later.
    """

    channel: str
    cursor: EventId


class Lost(NamedTuple):
    """Events after the requested position may be missing: the stream no longer has them.

    Attributes:
        channel: its name.
    """

    channel: str


Item = Connected | Lost | Entry


class _State(Enum):
    WAITING = auto()  # until the feed is live
    REPLAYING = auto()
    LIVE = auto()


class Cursor:
    """The position of one reader in one channel.

    Attributes:
        feed: the channel's events.
        position: the newest id that was delivered or skipped.
    """

    def __init__(self, feed: Feed, since: EventId | int | None, *, one_page: bool) -> None:
        """
        Args:
            feed: the channel's events.
            since: the position to begin after; milliseconds: to begin with; None: now.
            one_page: read one page of missed events at most, and continue with the newest.
        """
        self.feed = feed
        self.position = since if isinstance(since, EventId) else START
        self._since = since
        self._one_page = one_page
        self._state = _State.WAITING
        self._number = 0
        self._gaps = 0
        # Live events in this range were already read from the stream.
        self._skip_after = self._skip_to = START
        self._is_first_page = True

    def get_batch(self) -> Batch | None:
        """Return the command that must be sent before `take` returns anything more."""
        if self._state is not _State.REPLAYING or self.feed.error is not None:
            return None
        start = self._skip_to if self._since is None else self._since
        inclusive = self._is_first_page
        return plans.make_page(self.feed.channel, start, inclusive=inclusive)

    def add_page(self, reply: Reply) -> list[Item]:
        """Return what the reply to `get_batch` contains.

        Raises:
            ReplyError: the key is not a stream, for example.
        """
        if isinstance(reply, ReplyError):
            raise reply
        entries = decode_entries(self.feed.channel, reply)
        is_full = len(entries) >= plans.PAGE
        items: list[Item] = []
        if self._is_first_page and isinstance(self._since, EventId) and self._since != START:
            if entries and entries[0][0] == self._since:
                del entries[0]
            elif entries:
                items.append(Lost(self.feed.channel))
        self._is_first_page = False
        for event_id, event in entries:
            self._skip_to = self.position = max(self.position, event_id)
            if event is not None:
                items.append(Entry(event_id, event))
        self._since = None
        if not is_full:
            self._state = _State.LIVE
        elif self._one_page:
            items += (Lost(self.feed.channel), self._go_live())
        return items

    def take(self) -> list[Item]:
        """Return what can be delivered now; an empty list means to wait until the feed wakes.

        Raises:
            Exception: the feed has ended with it.
        """
        if self.feed.error is not None:
            raise self.feed.error
        items: list[Item] = []
        if self._state is _State.WAITING and self.feed.is_live:
            items.append(self._begin())
        if self._state is _State.LIVE:
            items += self._take_live()
        return items

    def _begin(self) -> Connected:
        if self._since is None:
            return self._go_live()
        number = self.feed.find(self._since)
        if number is None:
            self._replay(self._since)
            return Connected(self.feed.channel, self.position)
        self._state = _State.LIVE
        self._number, self._gaps = number, self.feed.gaps
        if number == self.feed.end:
            self.position = max(self.position, self.feed.newest)
        return Connected(self.feed.channel, self.position)

    def _go_live(self) -> Connected:
        self._state = _State.LIVE
        self._number, self._gaps = self.feed.end, self.feed.gaps
        self.position = max(self.position, self.feed.newest)
        return Connected(self.feed.channel, self.position)

    def _replay(self, since: EventId | int) -> None:
        self._state = _State.REPLAYING
        self._is_first_page = True
        self._since = since
        self._number, self._gaps = self.feed.end, self.feed.gaps
        self._skip_after = since if isinstance(since, EventId) else EventId(since, -1)
        self._skip_to = self._skip_after

    def _take_live(self) -> list[Item]:
        items: list[Item] = []
        if self._gaps != self.feed.gaps:
            self._gaps = self.feed.gaps
            items.append(Lost(self.feed.channel))
        entries = self.feed.read(self._number, _ENTRIES)
        if entries is None:
            self._replay(self.position)
            return items
        self._number += len(entries)
        for entry in entries:
            if not self._skip_after < entry.id <= self._skip_to:
                self.position = max(self.position, entry.id)
                items.append(entry)
        return items


class Cursors:
    """The positions of one reader in its channels; their commands are sent together."""

    def __init__(self, cursors: list[Cursor]) -> None:
        self._cursors = cursors
        self._replaying: list[Cursor] = []

    def take(self) -> list[Item]:
        return [item for cursor in self._cursors for item in cursor.take()]

    def get_batch(self) -> Batch | None:
        """Return the commands to send now; their replies go to `add_replies`."""
        pairs = [(cursor, cursor.get_batch()) for cursor in self._cursors]
        batches = [(cursor, batch) for cursor, batch in pairs if batch is not None]
        self._replaying = [cursor for cursor, _ in batches]
        if not batches:
            return None
        return Batch([each for _, batch in batches for each in batch.commands], needs_server=True)

    def add_replies(self, replies: Replies) -> list[Item]:
        pairs = zip(self._replaying, replies, strict=True)
        return [item for cursor, reply in pairs for item in cursor.add_page(reply)]
