"""A reader's position: every event once, in spite of lost connections, evictions and races."""

import random

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.federation.channels import feed as feed_module
from continuum_upstash.federation.channels import plans
from continuum_upstash.federation.channels.cursor import Connected, Cursor, Lost
from continuum_upstash.federation.channels.events import START, Event, EventId
from continuum_upstash.federation.channels.feed import Entry, Feed, StreamLimits

LIMITS = StreamLimits(1000, 300)


def entry(number):
    event_id = EventId(number, 0)
    return Entry(event_id, Event(str(event_id), "e", number, "c"))


def make_cursor(feed, since, *, one_page=False):
    return Cursor(feed, since, one_page=one_page)


def stored(numbers):
    return [
        [b"%d-0" % number, [b"data", b"%d" % number, b"event", b"e", b"channel", b"c"]]
        for number in numbers
    ]


class Stream:
    """A stream with a feed and readers; `numbers` are the milliseconds of its events."""

    def __init__(self, numbers=()):
        self.numbers = list(numbers)
        self.feed = Feed("c", LIMITS)
        self.commands = []

    def start(self):
        self.feed.start(EventId(self.numbers[-1], 0) if self.numbers else START)

    def publish(self, number, *, announce=True):
        self.numbers = sorted([*self.numbers, number])
        if announce:
            self.feed.add(entry(number))

    def read(self, cursor):
        """Return what the cursor delivers, with numbers for events."""
        items = []
        while True:
            found = cursor.take()
            if not found:
                batch = cursor.get_batch()
                if batch is None:
                    break
                found = cursor.add_page(self._reply(batch.commands[0]))
            items += found
        return [each.event.data if isinstance(each, Entry) else each for each in items]

    def _reply(self, command):
        self.commands.append(command)
        start = command[2]
        if start == "-":
            return stored(self.numbers[: plans.PAGE])
        exclusive = start.startswith("(")
        first = int(start.lstrip("(").partition("-")[0]) + exclusive
        return stored([each for each in self.numbers if each >= first][: plans.PAGE])


def connected(number):
    return Connected("c", EventId(number, 0))


def test_nothing_is_delivered_before_the_channel_is_subscribed_to():
    stream = Stream([1, 2])
    cursor = make_cursor(stream.feed, None)
    assert stream.read(cursor) == []
    stream.start()
    assert stream.read(cursor) == [connected(2)]
    stream.publish(3)
    assert stream.read(cursor) == [3]
    assert cursor.position == EventId(3, 0)
    assert stream.commands == []


def test_missed_events_are_read_from_the_stream_once():
    stream = Stream([1, 2, 3, 4])
    cursor = make_cursor(stream.feed, EventId(2, 0))
    stream.start()
    stream.publish(5)
    assert stream.read(cursor) == [connected(2), 3, 4, 5]
    stream.publish(6)
    assert stream.read(cursor) == [6]
    assert stream.commands == [("XRANGE", "c", "2-0", "+", "COUNT", 1000)]


def test_an_event_announced_during_the_replay_is_delivered_once():
    stream = Stream([1, 2])
    cursor = make_cursor(stream.feed, EventId(1, 0))
    stream.start()
    assert cursor.take() == [connected(1)]
    batch = cursor.get_batch()
    stream.publish(3, announce=False)
    items = cursor.add_page(stream._reply(batch.commands[0]))
    assert [each.event.data for each in items] == [2, 3]
    stream.feed.add(entry(3))
    stream.feed.add(entry(4))
    assert stream.read(cursor) == [4]


def test_a_reader_that_reconnects_is_served_from_memory():
    stream = Stream([1])
    stream.start()
    for number in (2, 3, 4):
        stream.publish(number)
    assert stream.read(make_cursor(stream.feed, EventId(3, 0))) == [connected(3), 4]
    assert stream.read(make_cursor(stream.feed, EventId(1, 0))) == [connected(1), 2, 3, 4]
    assert stream.read(make_cursor(stream.feed, EventId(4, 0))) == [connected(4)]
    assert stream.read(make_cursor(stream.feed, 3))[1:] == [3, 4]
    assert stream.commands == []


def test_events_announced_in_another_order_than_stored_are_delivered_once():
    stream = Stream([1])
    stream.start()
    cursor = make_cursor(stream.feed, None)
    stream.read(cursor)
    for number in (3, 2, 3):
        stream.publish(number)
    assert stream.read(cursor) == [3, 2]
    assert cursor.position == EventId(3, 0)
    assert stream.read(make_cursor(stream.feed, EventId(3, 0)))[1:] == [2]


def test_a_slow_reader_continues_from_the_stream(monkeypatch):
    monkeypatch.setattr(feed_module, "MAX_EVENTS", 5)
    stream = Stream([1])
    stream.start()
    cursor = make_cursor(stream.feed, None)
    stream.read(cursor)
    for number in range(2, 20):
        stream.publish(number)
    assert len(stream.feed._entries) == 5
    assert stream.read(cursor) == list(range(2, 20))
    stream.publish(20)
    assert stream.read(cursor) == [20]
    assert stream.commands == [("XRANGE", "c", "1-0", "+", "COUNT", 1000)]


def test_memory_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(feed_module, "MAX_BYTES", 300)
    stream = Stream()
    stream.start()
    for number in range(100):
        stream.feed.add(entry(number))
    assert stream.feed._bytes == sum(len(each.payload) for each in stream.feed._entries) <= 300
    assert len(stream.feed._ids) == len(stream.feed._entries) == stream.feed.end - stream.feed.first


def test_a_trimmed_stream_is_reported():
    stream = Stream([5, 6])
    stream.start()
    cursor = make_cursor(stream.feed, EventId(2, 0))
    assert stream.read(cursor) == [connected(2), Lost("c"), 5, 6]


def test_an_expired_stream_without_new_events_is_not():
    stream = Stream()
    stream.start()
    stream.feed._covered_after = EventId(9, 0)
    assert stream.read(make_cursor(stream.feed, EventId(2, 0))) == [connected(2)]


def test_a_gap_after_a_lost_connection_is_reported_to_every_reader():
    stream = Stream([1])
    stream.start()
    cursors = [make_cursor(stream.feed, None) for _ in range(2)]
    for cursor in cursors:
        stream.read(cursor)
    stream.feed.suspend()
    stream.feed.resume([entry(9)], EventId(1, 0), has_gap=True)
    assert [stream.read(cursor) for cursor in cursors] == [[Lost("c"), 9]] * 2
    assert stream.read(make_cursor(stream.feed, None)) == [connected(9)]


def test_what_was_read_after_a_lost_connection_is_not_added_again(monkeypatch):
    monkeypatch.setattr(feed_module, "MAX_EVENTS", 2)
    stream = Stream([1])
    stream.start()
    cursor = make_cursor(stream.feed, None)
    stream.read(cursor)
    stream.feed.suspend()
    stream.numbers = [1, 2, 3, 4, 5]
    missed = [entry(number) for number in stream.numbers]
    stream.feed.resume(missed, EventId(0, 0), has_gap=False)
    for announced in missed:
        stream.feed.add(announced)
    assert stream.read(cursor) == [2, 3, 4, 5]


def test_pages_are_read_until_the_last(monkeypatch):
    monkeypatch.setattr(plans, "PAGE", 3)
    stream = Stream(range(1, 9))
    stream.start()
    assert stream.read(make_cursor(stream.feed, EventId(1, 0))) == [connected(1), *range(2, 9)]
    assert [command[2] for command in stream.commands] == ["1-0", "(3-0", "(6-0"]


def test_a_bounded_replay_continues_with_the_newest(monkeypatch):
    monkeypatch.setattr(plans, "PAGE", 3)
    stream = Stream(range(1, 9))
    stream.start()
    cursor = make_cursor(stream.feed, EventId(1, 0), one_page=True)
    assert stream.read(cursor) == [connected(1), 2, 3, Lost("c"), connected(8)]
    stream.publish(9)
    assert stream.read(cursor) == [9]


def test_the_error_of_a_channel_reaches_its_readers():
    stream = Stream([1])
    cursor = make_cursor(stream.feed, EventId(1, 0))
    stream.start()
    cursor.take()
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        cursor.add_page(ReplyError("WRONGTYPE"))
    stream.feed.fail(ReplyError("NOPERM"))
    with pytest.raises(ReplyError, match="NOPERM"):
        cursor.take()


@pytest.mark.parametrize("seed", range(30))
def test_random_histories_deliver_every_event_once(seed, monkeypatch):
    """Publishers, lost connections, evictions and reconnecting readers in any order."""
    rng = random.Random(seed)
    monkeypatch.setattr(feed_module, "MAX_EVENTS", 4)
    monkeypatch.setattr(plans, "PAGE", 5)
    stream = Stream([1])
    stream.start()
    cursor = make_cursor(stream.feed, None)
    received = stream.read(cursor)[1:]
    for number in range(2, 80):
        action = rng.random()
        is_lost = action < 0.2
        stream.publish(number, announce=not is_lost)
        if is_lost:
            stream.feed.suspend()
            start = stream.feed.newest.milliseconds - 2
            missed = [entry(each) for each in stream.numbers if each >= start]
            stream.feed.resume(missed, EventId(max(start, 0), 0), has_gap=False)
            if action < 0.1:
                stream.feed.add(entry(number))
        if action < 0.5:
            received += [each for each in stream.read(cursor) if isinstance(each, int)]
        if action > 0.8:
            cursor = make_cursor(stream.feed, cursor.position)
    received += [each for each in stream.read(cursor) if isinstance(each, int)]
    assert received == list(range(2, 80))
