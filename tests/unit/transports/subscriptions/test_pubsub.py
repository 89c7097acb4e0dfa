"""Publish/subscribe over TCP."""

from collections import deque
from itertools import repeat

import pytest

from continuum_upstash.errors import AuthenticationFailed, ConnectionFailed
from continuum_upstash.transports.subscriptions import pubsub
from continuum_upstash.transports.subscriptions.messages import (
    MAX_MESSAGE_BYTES,
    Message,
    validate_channels,
)
from continuum_upstash.transports.subscriptions.pubsub import PubSubDecoder


def encode(*parts):
    items = [
        b":%d\r\n" % part if isinstance(part, int) else b"$%d\r\n%b\r\n" % (len(part), part)
        for part in parts
    ]
    return b"*%d\r\n%b" % (len(parts), b"".join(items))


def test_the_request_is_one_subscribe():
    assert pubsub.make_request(("a", "b c")) == encode(b"SUBSCRIBE", b"a", b"b c")


@pytest.mark.parametrize("size", [1, 1000])
def test_messages_are_decoded_from_pieces_of_any_size(size):
    decoder = PubSubDecoder("the cache", ("a", "é"))
    stream = b"".join(
        [
            encode(b"subscribe", b"a", 1),
            encode(b"message", b"a", b"\x00\xff"),
            encode(b"subscribe", "é".encode(), 2),
            encode(b"message", "é".encode(), b"2"),
            encode(b"message", b"other", b"3"),
        ]
    )
    messages = []
    for start in range(0, len(stream), size):
        messages += decoder.feed(stream[start : start + size])
    assert decoder.is_subscribed
    assert messages == [Message("a", b"\x00\xff"), Message("é", b"2")]


def test_a_message_is_bounded():
    decoder = PubSubDecoder("the cache", ("a",))
    decoder.feed(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$99999999\r\n")
    pieces = repeat(b"x" * 65_536, MAX_MESSAGE_BYTES // 65_536 + 3)
    with pytest.raises(ConnectionFailed, match="exceeds 10 MB"):
        deque(map(decoder.feed, pieces))


@pytest.mark.parametrize("stream", [b"+PONG\r\n", b":1\r\n", b"HTTP/1.1 400\r\n"])
def test_another_protocol_is_an_error(stream):
    with pytest.raises(ConnectionFailed, match="protocol error"):
        PubSubDecoder("the cache", ("a",)).feed(stream)


def test_a_refusal_is_raised():
    with pytest.raises(AuthenticationFailed):
        PubSubDecoder("the cache", ("a",)).feed(b"-NOAUTH Authentication required.\r\n")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\r\nb", "a\nb", "\x00"])
def test_a_name_that_one_transport_cannot_send_is_rejected(name):
    with pytest.raises(ValueError, match="Invalid channel"):
        validate_channels(("a", name))
