"""One subscription per channel and process, however many threads, tasks and pages read it.

A thread with an event loop of its own runs while a channel has readers, and for some seconds after
that: a page that reconnects finds its channel subscribed to, and the missed events in memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from math import inf
from random import uniform
from time import monotonic
from typing import Final

from continuum_upstash.errors import BudgetExceeded, ConfigurationError, ReplyError, Unavailable
from continuum_upstash.federation.channels import plans
from continuum_upstash.federation.channels.events import (
    START,
    EventId,
    decode_entries,
    decode_message,
)
from continuum_upstash.federation.channels.feed import Entry, Feed, StreamLimits, Waker
from continuum_upstash.observe import log_once_a_minute, logger
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.registry import Database
from continuum_upstash.transports.subscriptions.async_subscription import AsyncSubscription

# Seconds for which a channel without readers stays subscribed to.
LINGER_SECONDS: Final = 30.0
# So many of them at most: each is a connection, and clients may choose the names.
MAX_LINGERING: Final = 100
# A connection that was silent for so long is replaced: it may be dead without notice.
MAX_SILENCE_SECONDS: Final = 600.0
_FIRST_DELAY: Final = 0.1
_MAX_DELAY: Final = 10.0
# Two publishers may announce events in another order than they stored them: after a lost
# connection, the events of the last seconds are read again.
_OVERLAP_MS: Final = 2000


class Hub:
    """The channels of one database that this process reads; any thread may use it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._feeds: dict[str, Feed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def attach(self, channel: str, limits: StreamLimits, waker: Waker) -> Feed:
        """Return the feed of a channel, which calls `waker` from now on."""
        with self._lock:
            feed = self._feeds.get(channel)
            if feed is None or feed.error is not None:
                feed = self._feeds[channel] = Feed(channel, limits)
                self._call(partial(self._start, feed))
            feed.wakers.add(waker)
            return feed

    def detach(self, feed: Feed, waker: Waker) -> None:
        """Stop waking a reader. The last one ends the subscription, some seconds later."""
        with self._lock:
            if self._loop is not None:
                self._call(partial(self._detach, feed, waker))

    def close(self) -> None:
        """End every subscription, and the thread."""
        with self._lock:
            feeds, thread = list(self._feeds.values()), self._thread
            for feed in feeds:
                self._call(partial(self._end, feed))
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._run, args=(self._loop,), name="continuum-channels", daemon=True
            )
            self._thread.start()
        self._loop.call_soon_threadsafe(function)

    # All of what follows runs in the hub's thread.

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(self._database.aclose())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _start(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        self._tasks[feed.channel] = loop.create_task(self._follow(feed))

    def _detach(self, feed: Feed, waker: Waker) -> None:
        with self._lock:
            feed.wakers.discard(waker)
            if feed.wakers or self._feeds.get(feed.channel) is not feed:
                return
        timer = self._timers.pop(feed.channel, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[feed.channel] = loop.call_later(LINGER_SECONDS, self._end_if_unread, feed)
        with self._lock:
            unread = [self._feeds[name] for name in self._timers if not self._feeds[name].wakers]
            for oldest in unread[:-MAX_LINGERING]:
                self._end(oldest)

    def _end_if_unread(self, feed: Feed) -> None:
        with self._lock:
            if not feed.wakers:
                self._end(feed)

    def _end(self, feed: Feed) -> None:
        with self._lock:
            if self._feeds.get(feed.channel) is not feed:
                return
            del self._feeds[feed.channel]
            timer = self._timers.pop(feed.channel, None)
            if timer is not None:
                timer.cancel()
            task = self._tasks.pop(feed.channel)
            task.cancel()
            task.add_done_callback(self._stop_if_unused)

    def _stop_if_unused(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("subscription to a channel ended, its readers raise the error: %r", error)
        with self._lock:
            if not self._feeds and self._loop is asyncio.get_running_loop():
                self._loop.stop()
                self._loop = self._thread = None

    async def _follow(self, feed: Feed) -> None:
        """Subscribe, and subscribe again whenever the connection is lost."""
        failures, lost_at = 0, monotonic()
        while True:
            try:
                async with await self._database.asubscribe(feed.channel) as subscription:
                    await self._catch_up(feed, monotonic() - lost_at)
                    failures = 0
                    await self._receive(feed, subscription)
                    lost_at = monotonic()
                continue
            except BudgetExceeded as error:
                self._fail(feed, error)
                return
            except Unavailable as error:
                if feed.is_live:
                    lost_at = monotonic()
                reason = f"the subscription of a channel was lost, trying again: {error}"
                log_once_a_minute(self._database.config.alias, reason)
            except (ConfigurationError, ReplyError) as error:
                self._fail(feed, error)
                return
            except Exception as error:  # noqa: BLE001 a defect: readers must not wait for ever
                logger.exception("Unexpected error: the subscription of a channel has ended")
                self._fail(feed, error)
                return
            feed.suspend()
            delay = min(_FIRST_DELAY * 2**failures, _MAX_DELAY)
            failures = min(failures + 1, 16)
            await asyncio.sleep(uniform(delay / 2, delay))  # noqa: S311 jitter, no secret

    def _fail(self, feed: Feed, error: Exception) -> None:
        feed.fail(error)
        asyncio.get_running_loop().call_soon(self._end, feed)

    async def _catch_up(self, feed: Feed, seconds: float) -> None:
        """Read what was missed while there was no subscription, for `seconds`."""
        if not feed.has_started:
            reply = await self._send(plans.make_newest(feed.channel))
            entries = decode_entries(feed.channel, reply)
            feed.start(entries[0][0] if entries else START)
            return
        newest, missed = feed.newest, 0
        start = begin = EventId(max(newest.milliseconds - _OVERLAP_MS, 0), 0)
        inclusive = True
        found: list[Entry] = []
        is_newest_kept = False
        while True:
            page = plans.make_page(feed.channel, start, inclusive=inclusive)
            entries = decode_entries(feed.channel, await self._send(page))
            for event_id, event in entries:
                is_newest_kept |= event_id == newest
                missed += event_id > newest
                if event is not None:
                    found.append(Entry(event_id, event))
            if len(entries) < plans.PAGE:
                break
            start, inclusive = entries[-1][0], False
        limits = feed.limits
        may_have_gone = missed >= limits.max_length or seconds > (limits.expire_after or inf)
        feed.resume(found, begin, has_gap=may_have_gone and not is_newest_kept)

    async def _receive(self, feed: Feed, subscription: AsyncSubscription) -> None:
        while True:
            message = await subscription.receive(MAX_SILENCE_SECONDS)
            if message is None:
                return
            event = decode_message(feed.channel, message.data)
            if event is not None and (event_id := EventId.parse(event.id)) is not None:
                feed.add(Entry(event_id, event))

    async def _send(self, batch: Batch) -> Reply:
        (reply,) = await self._database.asend(batch)
        if isinstance(reply, ReplyError):
            raise reply
        return reply
