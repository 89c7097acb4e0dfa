"""The stored fields and the messages of events, as @upstash/realtime reads and writes them."""

import json

import pytest

from continuum_upstash.errors import NotSerializable
from continuum_upstash.federation.channels import plans
from continuum_upstash.federation.channels.events import (
    MAX_DATA_BYTES,
    Event,
    EventId,
    decode_entries,
    decode_message,
    encode_data,
    parse_since,
    validate_name,
)
from tests.unit.plan_runner import run_plan


def test_publishing_sends_the_commands_of_upstash_realtime():
    plan = plans.publish("room", "chat.message", {"text": "ü"}, 1000, 360)
    result, batches = run_plan(plan, [b"17-0"], [1, 2])
    assert result == "17-0"
    assert batches == [
        [
            (
                *("XADD", "room", "MAXLEN", "=", 1000, "*"),
                *("data", '{"text":"ü"}', "event", "chat.message", "channel", "room"),
            )
        ],
        [
            ("EXPIRE", "room", 360),
            (
                *("PUBLISH", "room"),
                '{"data":{"text":"ü"},"event":"chat.message","channel":"room","id":"17-0"}',
            ),
        ],
    ]


def test_without_a_new_ttl_publishing_is_two_commands():
    _, batches = run_plan(plans.publish("room", "e", 1, 10, None), [b"17-0"], [1])
    assert [len(batch) for batch in batches] == [1, 1]


@pytest.mark.parametrize("text", ["123", "true", "null", '"', "a\nb", "plain"])
def test_text_that_looks_like_json_stays_text(text):
    stored = encode_data(text)
    assert json.loads(stored) == text
    fields = [b"data", stored.encode(), b"event", b"e", b"channel", b"c"]
    assert decode_entries("c", [[b"1-1", fields]]) == [
        (EventId(1, 1), Event("1-1", "e", text, "c"))
    ]


@pytest.mark.parametrize(
    ("stored", "data"), [(b"hello", "hello"), (b"123", 123), (b'{"a":1}', {"a": 1}), (b"{", "{")]
)
def test_what_javascript_stored_is_read_by_its_rule(stored, data):
    fields = [b"data", stored, b"event", b"e", b"channel", b"c"]
    [(_, event)] = decode_entries("c", [[b"1-1", fields]])
    assert event.data == data


@pytest.mark.parametrize(
    "entry",
    [
        [b"1-1", [b"event", b"e"]],
        [b"1-1", [b"data", b"\xff", b"event", b"e"]],
        [b"1-1", [b"data"]],
        [b"1-1", []],
    ],
)
def test_an_entry_of_another_kind_is_passed_over(entry):
    assert decode_entries("c", [entry]) == [(EventId(1, 1), None)]


@pytest.mark.parametrize("reply", [None, b"x", 5, [b"1-1"], [[b"x", []]], [[b"1", []]], [[1, 2]]])
def test_a_malformed_reply_has_no_entries(reply):
    assert decode_entries("c", reply) == []


def test_deep_data_is_read_as_text():
    deep = b"[" * 100_000
    fields = [b"data", deep, b"event", b"e", b"channel", b"c"]
    [(_, event)] = decode_entries("c", [[b"1-1", fields]])
    assert event.data == deep.decode()


def test_a_message_is_an_event():
    message = b'{"data":null,"event":"e","channel":"c","id":"5-0"}'
    assert decode_message("c", message) == Event("5-0", "e", None, "c")


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"ping","timestamp":1}',
        b'{"data":1,"event":"e","channel":"other","id":"5-0"}',
        b'{"data":1,"event":"e","channel":"c","id":"5"}',
        b'{"data":1,"event":"e","channel":"c","id":"5-0\\n"}',
        b'{"data":1,"event":5,"channel":"c","id":"5-0"}',
        b"[" * 100_000,
        b"\xff",
        b"[]",
        b"wake",
    ],
)
def test_another_message_is_no_event(message):
    assert decode_message("c", message) is None


@pytest.mark.parametrize(
    "name",
    ["room", "chat.message", "user:7", "ü", "a b", "fed:ws:1", "x" * 200],
)
def test_names_that_can_be_used(name):
    assert validate_name(name, "a channel") == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "x" * 201, " a", "a ", ".", ".."),
        *("room*", "room?", "[a]", "a^", "a\\b", "a/b", "a,b", 'a"b'),
        *("a\r\nb", "a\nb", "\x00", "\u2028", "\ud800"),
        *("42", "true", "null", "-1.5e3", "NaN"),
        *("continuum:session:x", "continuum:ratelimit:x"),
        *(None, 5, b"room"),
    ],
)
def test_names_that_cannot_be_used(name):
    with pytest.raises(ValueError, match="Invalid name of a channel"):
        validate_name(name, "a channel")


def test_ids_compare_as_two_integers():
    assert EventId.parse("9-10") > EventId.parse("9-9")
    assert EventId.parse("10-0") > EventId.parse("9-99")
    assert str(EventId(7, 3)) == "7-3"


@pytest.mark.parametrize(
    ("since", "position"),
    [(None, None), ("5-3", EventId(5, 3)), ("5", 5), (5, 5), (EventId(1, 2), EventId(1, 2))],
)
def test_positions(since, position):
    assert parse_since(since) == position


@pytest.mark.parametrize("since", ["", "-", "+", "x", "5-", "1-2-3", -1, "1" * 21, "\u0663-1"])
def test_wrong_positions(since):
    with pytest.raises(ValueError, match="Invalid position"):
        parse_since(since)


@pytest.mark.parametrize("data", [{1, 2}, b"x", float("nan"), "\ud800", "x" * MAX_DATA_BYTES])
def test_data_that_is_no_json_or_too_large_is_rejected(data):
    with pytest.raises(NotSerializable):
        encode_data(data)


def test_history_reads_the_newest_events_or_those_after_a_position():
    plan = plans.read_history("c", 2, None)
    fields = [b"data", b"1", b"event", b"e"]
    events, [batch] = run_plan(plan, [[[b"2-0", fields], [b"1-0", fields]]])
    assert [event.id for event in events] == ["1-0", "2-0"]
    assert batch == [("XREVRANGE", "c", "+", "-", "COUNT", 2)]
    _, [batch] = run_plan(plans.read_history("c", 2, EventId(1, 0)), [[]])
    assert batch == [("XRANGE", "c", "(1-0", "+", "COUNT", 2)]
    _, [batch] = run_plan(plans.read_history("c", 2, 1700), [[]])
    assert batch == [("XRANGE", "c", 1700, "+", "COUNT", 2)]
