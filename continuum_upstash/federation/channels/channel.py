"""Channels: events that are stored for some minutes, and delivered at once to every reader."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from time import monotonic
from typing import Any, Final, Self

from django.core.cache import caches

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.config.resolve import Config
from continuum_upstash.federation.channels import plans
from continuum_upstash.federation.channels.cursor import Item, Lost
from continuum_upstash.federation.channels.events import (
    Event,
    EventId,
    parse_since,
    validate_name,
)
from continuum_upstash.federation.channels.feed import Entry, StreamLimits
from continuum_upstash.federation.channels.readers import TaskReader, ThreadReader
from continuum_upstash.federation.errors import EventsLost, ImproperlyConfiguredFederation
from continuum_upstash.plans.effects import Plan

MAX_LENGTH: Final = 1000  # events
EXPIRE_AFTER: Final = 300  # seconds
# EXPIRE is sent at most so often per channel and process; the TTL is longer by that.
_EXPIRE_INTERVAL: Final = 60
_MAX_CLOCKS: Final = 10_000


class _ExpiryTimes:
    """When each channel's TTL was last set by this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, float] = {}

    def is_due(self, channel: str) -> bool:
        with self._lock:
            at = self._times.get(channel)
            return at is None or monotonic() - at >= _EXPIRE_INTERVAL

    def record(self, channel: str) -> None:
        with self._lock:
            if len(self._times) >= _MAX_CLOCKS:
                self._times.clear()
            self._times[channel] = monotonic()


class Channel:
    """A named stream of events that any number of processes publish to and read.

    The stored format is that of the npm package @upstash/realtime, with which it can be shared. The
    Redis key is the name itself, without KEY_PREFIX.

    Args:
        name: the name, without glob characters, "/" and control characters.
        using: an entry of CACHES.
        max_length: events that are kept; None: 1000.
        expire_after: seconds for which they are kept after the last event, at least; None: for
            ever. The default is five minutes.

    Raises:
        ValueError: the name cannot be used, or a limit is not positive.
        ImproperlyConfiguredFederation: the entry of CACHES is not a cache of this package.
    """

    def __init__(
        self,
        name: str,
        using: str = "federation",
        *,
        max_length: int = MAX_LENGTH,
        expire_after: int | None = EXPIRE_AFTER,
    ) -> None:
        self.name = validate_name(name, "a channel")
        if max_length < 1 or (expire_after is not None and expire_after < 1):
            raise ValueError("max_length and expire_after must be positive.")
        self.limits = StreamLimits(max_length, expire_after)
        self._cache = get_cache(using)
        self._database = self._cache.database
        self._expiry = self._database.extras.get(_ExpiryTimes)
        config = self._database.config
        self._connect_timeout = config.connect_timeout + config.read_timeout

    def publish(self, event: str, data: Any = None) -> str:
        """Store an event, announce it to the readers, and return its id.

        Billed commands: 2, and 1 more at most once a minute per channel and process (EXPIRE).

        Args:
            event: its name, for example ``message.created``.
            data: a JSON value of at most 900,000 bytes.

        Raises:
            NotSerializable: `data` is no JSON value, or too large.
            Unavailable: the database did not reply; the event may have been stored.
            ReplyError: the database rejected it.
        """
        plan, is_due = self._publish(event, data)
        event_id = self._cache.run(plan)
        if is_due:
            self._expiry.record(self.name)
        return event_id

    async def apublish(self, event: str, data: Any = None) -> str:
        """The async counterpart of `publish`."""
        plan, is_due = self._publish(event, data)
        event_id = await self._cache.arun(plan)
        if is_due:
            self._expiry.record(self.name)
        return event_id

    def history(self, limit: int = 100, since: str | int | None = None) -> list[Event]:
        """Return stored events, the oldest first.

        Billed commands: 1.

        Args:
            limit: the most events to return, up to 1000.
            since: an id: the events after it; milliseconds since 1970: the events from then on;
                None: the newest events.
        """
        return self._cache.run(self._read_history(limit, since))

    def ahistory(
        self, limit: int = 100, since: str | int | None = None
    ) -> Coroutine[Any, Any, list[Event]]:
        """The async counterpart of `history`."""
        return self._cache.arun(self._read_history(limit, since))

    def subscribe(self, since: str | int | None = None) -> ChannelSubscription:
        """Return the events from now on, or those after `since` and then those from now on.

        A lost connection is opened again, and the missed events are read from the stream: each
        event is delivered once. All readers of a channel in a process share one subscription.

        Waits until the server has confirmed the subscription, so no event after this call is
        missed; in an outage, for CONNECT_TIMEOUT and READ_TIMEOUT at most. Then a reader without
        `since` begins with the events after the confirmation, which comes later.

        Billed commands: 2 for the first reader in this process, then at most 1 per reader with
        `since`, and 2 whenever the connection was lost.

        Args:
            since: the id of the last known event, or milliseconds since 1970.
        """
        position = self._parse_position(since)
        reader = ThreadReader(self._database, {self.name: position}, self.limits)
        reader.receive(self._connect_timeout)  # the first item: it is connected
        return ChannelSubscription(reader)

    def asubscribe(self, since: str | int | None = None) -> AsyncChannelSubscription:
        """The async counterpart of `subscribe`, for the running event loop.

        ``async with`` waits for the subscription.
        """
        position = self._parse_position(since)
        reader = TaskReader(self._database, {self.name: position}, self.limits)
        return AsyncChannelSubscription(reader, self._connect_timeout)

    def _publish(self, event: str, data: Any) -> tuple[Plan[str], bool]:
        validate_name(event, "an event")
        require_server(self._database.config)
        limits = self.limits
        is_due = limits.expire_after is not None and self._expiry.is_due(self.name)
        seconds = limits.expire_after + _EXPIRE_INTERVAL if limits.expire_after else None
        plan = plans.publish(self.name, event, data, limits.max_length, seconds if is_due else None)
        return plan, is_due

    def _parse_position(self, since: str | int | None) -> EventId | int | None:
        require_server(self._database.config)
        return parse_since(since)

    def _read_history(self, limit: int, since: str | int | None) -> Plan[list[Event]]:
        if not 1 <= limit <= plans.PAGE:
            raise ValueError(f"limit must be from 1 to {plans.PAGE}, not {limit}.")
        require_server(self._database.config)
        return plans.read_history(self.name, limit, parse_since(since))


class ChannelSubscription:
    """The events of a channel: a context manager, and an iterator.

    The iterator ends when another thread calls `close`.
    """

    def __init__(self, reader: ThreadReader) -> None:
        self._reader = reader
        self._is_closed = False

    def receive(self, timeout: float | None = None) -> Event | None:
        """Return the next event, or None after `timeout` seconds or when it is closed.

        Raises:
            EventsLost: the stream no longer has all events after the last one. The next call
                continues with those that it has.
            ReplyError, ConfigurationError: the channel cannot be read.
        """
        ends_at = None if timeout is None else monotonic() + timeout
        while not self._is_closed:
            left = None if ends_at is None else max(ends_at - monotonic(), 0.0)
            item = self._reader.receive(left)
            if isinstance(item, Entry):
                return item.event
            raise_if_lost(item)
            if item is None and left is not None:
                break
        return None

    def close(self) -> None:
        """Stop reading; may be called from another thread."""
        self._is_closed = True
        self._reader.close()

    def __iter__(self) -> Iterator[Event]:
        while not self._is_closed:
            event = self.receive()
            if event is not None:
                yield event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


class AsyncChannelSubscription:
    """The async counterpart of ChannelSubscription."""

    def __init__(self, reader: TaskReader, connect_timeout: float) -> None:
        self._reader = reader
        self._connect_timeout = connect_timeout
        self._is_closed = False

    async def receive(self, timeout: float | None = None) -> Event | None:
        """Return the next event, or None after `timeout` seconds or when it is closed."""
        ends_at = None if timeout is None else monotonic() + timeout
        while not self._is_closed:
            left = None if ends_at is None else max(ends_at - monotonic(), 0.0)
            item = await self._reader.receive(left)
            if isinstance(item, Entry):
                return item.event
            raise_if_lost(item)
            if item is None and left is not None:
                break
        return None

    def close(self) -> None:
        """Stop reading."""
        self._is_closed = True
        self._reader.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not self._is_closed:
            event = await self.receive()
            if event is not None:
                yield event

    async def __aenter__(self) -> Self:
        await self._reader.receive(self._connect_timeout)  # the first item: it is connected
        return self

    async def __aexit__(self, *details: object) -> None:
        self.close()


def get_cache(alias: str) -> UpstashBaseCache:
    """Return the cache of an alias whose database has channels.

    Raises:
        ImproperlyConfiguredFederation: it is not a cache of this package.
    """
    cache = caches[alias]
    if not isinstance(cache, UpstashBaseCache):
        raise ImproperlyConfiguredFederation(
            f"Channels need an entry of CACHES whose BACKEND is "
            f"continuum_upstash.backend.CacheBackend; '{alias}' is a {type(cache).__qualname__}."
        )
    return cache


def require_server(config: Config) -> None:
    """Raise ImproperlyConfiguredFederation in mode local: its store belongs to one process."""
    if config.mode == "local":
        raise ImproperlyConfiguredFederation(
            f"{config.label}: channels need a database that all processes share. "
            f"{config.setup_hint}"
        )


def raise_if_lost(item: Item | None) -> None:
    if isinstance(item, Lost):
        raise EventsLost(
            f"channel '{item.channel}': events after the last known one may be missing, since the "
            "stream was trimmed or has expired. Raise max_length or expire_after."
        )
