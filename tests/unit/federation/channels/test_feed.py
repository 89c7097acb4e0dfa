"""The events of a channel that its readers share."""

from __future__ import annotations

from continuum_upstash.federation.channels.events import EventId
from continuum_upstash.federation.channels.feed import Feed, StreamLimits


class _Waker:
    def __init__(self, loop=None):
        self.loop, self.wakes = loop, 0

    def wake(self):
        self.wakes += 1


class _ClosingLoop:
    """A loop that its thread closes after another one has found it open."""

    def is_closed(self):
        return False

    def call_soon_threadsafe(self, *_):
        raise RuntimeError("Event loop is closed")


def test_a_reader_whose_loop_is_closed_at_this_moment_does_not_end_the_feed_of_others():
    feed, other = Feed("news", StreamLimits(10, None)), _Waker()
    feed.wakers |= {_Waker(_ClosingLoop()), other}
    feed.start(EventId(1, 0))
    assert (other.wakes, feed.error) == (1, None)
