"""The frames of a page, and the ids that let its browser continue."""

import json
import re

import pytest

from continuum_upstash.federation.channels.cursor import Connected, Lost
from continuum_upstash.federation.channels.events import Event, EventId
from continuum_upstash.federation.channels.feed import Entry
from continuum_upstash.federation.live import frames
from continuum_upstash.federation.live.frames import FrameEncoder


def entry(number, channel="a", data=None):
    event_id = EventId(number, 0)
    return Entry(event_id, Event(str(event_id), "e", data, channel))


def read(encoded):
    """Return the ids and the JSON of frames."""
    ids, documents = [], []
    for frame in encoded.decode().split("\n\n")[:-1]:
        *id_lines, data = frame.split("\n")
        ids += [line.removeprefix("id: ") for line in id_lines] or [None]
        documents.append(json.loads(data.removeprefix("data: ")))
    return ids, documents


def test_each_event_has_an_id_with_all_positions():
    encoder = FrameEncoder({"a": EventId(1, 0), "b c": None, "d": 1700})
    encoded = encoder.encode([Connected("b c", EventId(5, 0)), entry(7), entry(8, "b c")])
    ids, documents = read(encoded)
    assert ids == ["a=1-0&b%20c=5-0", "a=7-0&b%20c=5-0", "a=7-0&b%20c=8-0"]
    assert documents[0] == {"type": "connected", "channel": "b c", "cursor": "5-0"}
    assert documents[1] == {"id": "7-0", "data": None, "event": "e", "channel": "a"}
    assert frames.decode_id(ids[-1]) == {"a": EventId(7, 0), "b c": EventId(8, 0)}


def test_after_a_late_event_a_page_continues_after_the_newest():
    encoder = FrameEncoder({"a": None})
    ids, documents = read(encoder.encode([entry(8), entry(7)]))
    assert ids == ["a=8-0", "a=8-0", None]
    assert [document.get("id") for document in documents] == ["8-0", "7-0", None]
    assert documents[2] == {"type": "connected", "channel": "a", "cursor": "8-0"}


def test_lost_events_are_reported():
    _, [document] = read(FrameEncoder({}).encode([Lost("a")]))
    assert document["type"] == "error"


@pytest.mark.parametrize("data", ["\n\r\n\ndata: x", "\ud800", "\x00", "\u2028", {"a": "\udfff"}])
def test_data_cannot_end_a_frame(data):
    encoded = FrameEncoder({"a": None}).encode([entry(1, data=data)])
    _, [document] = read(encoded)
    assert document["data"] == data
    assert b"\r" not in encoded


@pytest.mark.parametrize(
    "text", ["", "x", "a=1", "a=1-1-1", "=1-0x", "a=" + "9" * 50, "a=1-0&" * 2000, "%ff=x", "\x00"]
)
def test_a_malformed_id_is_ignored(text):
    assert frames.decode_id(text) == {}


def test_pages_reconnect_at_different_times():
    lines = {frames.encode_retry(2.0) for _ in range(50)}
    assert len(lines) > 10
    assert all(2000 <= int(re.match(rb"retry: (\d+)\n\n", line)[1]) <= 4000 for line in lines)
