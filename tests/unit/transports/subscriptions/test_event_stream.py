"""The server-sent events of a subscription over REST."""

from collections import deque
from itertools import repeat

import pytest

from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    QuotaExceeded,
    Unavailable,
)
from continuum_upstash.transports.rest.http11 import RequestEncoder
from continuum_upstash.transports.subscriptions import event_stream
from continuum_upstash.transports.subscriptions.event_stream import EventStreamDecoder
from continuum_upstash.transports.subscriptions.messages import MAX_MESSAGE_BYTES, Message

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def make_encoder():
    return RequestEncoder(
        resolve({"REST_URL": "https://db.upstash.io", "TOKEN": "secret-token"}, {})
    )


def make_decoder(*channels):
    return EventStreamDecoder(make_encoder(), channels)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def refusal(status, body, kind=b"application/json"):
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


def test_the_request_names_each_channel_in_a_segment_of_its_own():
    request = event_stream.make_request(("a b", "user:7,x"))
    encoded = make_encoder().encode(request, None)
    assert encoded.startswith(b"POST /subscribe/a%20b/user%3A7%2Cx HTTP/1.1\r\n")
    assert b"\r\nAccept: text/event-stream\r\n" in encoded
    assert encoded.endswith(b"Content-Length: 2\r\n\r\n[]")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_messages_are_decoded_from_pieces_of_any_size(size):
    decoder = make_decoder("room", "room,2")
    stream = HEAD + b"".join(
        chunk(part)
        for part in (
            b"data: subscribe,room,1\n\ndata: subscribe,room",
            b",2,2\r\n\r\n: a comment\nevent: x\n",
            b"data: message,room,one,1\n\n",
            b"data: message,room,2,two\ndata: lines\n\n",
            b"data: message,other,x\n\n",
        )
    )
    messages = []
    for start in range(0, len(stream), size):
        messages += decoder.feed(stream[start : start + size])
    assert decoder.is_subscribed
    assert not decoder.has_ended
    assert messages == [Message("room", b"one,1"), Message("room,2", b"two\nlines")]


def test_one_confirmation_of_two_is_not_enough():
    decoder = make_decoder("a", "b")
    decoder.feed(HEAD + chunk(b"data: subscribe,a,1\n\n"))
    assert not decoder.is_subscribed


def test_the_end_of_the_response_is_the_end_of_the_subscription():
    decoder = make_decoder("a")
    end = chunk(b"data: message,a,last\n\n") + b"0\r\n\r\n"
    assert decoder.feed(HEAD + end) == [Message("a", b"last")]
    assert decoder.has_ended


@pytest.mark.parametrize(
    "lines",
    [b"data: message,a," + b"x" * 65_536, b"data: " + b"x" * 65_526 + b"\n"],
    ids=["line", "lines"],
)
def test_a_message_is_bounded(lines):
    decoder = make_decoder("a")
    decoder.feed(HEAD)
    pieces = repeat(chunk(lines), MAX_MESSAGE_BYTES // 65_536 + 3)
    with pytest.raises(ConnectionFailed, match="exceeds 10 MB"):
        deque(map(decoder.feed, pieces))


def test_an_informational_response_precedes_the_stream():
    decoder = make_decoder("a")
    assert decoder.feed(b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\n\r\n") == []
    end = chunk(b"data: message,a,first\n\n")
    assert decoder.feed(HEAD + end) == [Message("a", b"first")]
    assert not decoder.has_ended


def test_headers_are_bounded():
    decoder = make_decoder("a")
    decoder.feed(b"HTTP/1.1 200 OK\r\n")
    headers = [b"X-%d: %b\r\n" % (number, b"x" * 4000) for number in range(20)]
    with pytest.raises(ConnectionFailed):
        deque(map(decoder.feed, headers))


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (
            refusal(b"401 Unauthorized", b'{"error":"WRONGPASS invalid secret-token"}'),
            AuthenticationFailed,
        ),
        (
            refusal(b"400 Bad Request", b'{"error":"ERR max requests limit exceeded."}'),
            QuotaExceeded,
        ),
        (refusal(b"502 Bad Gateway", b"<html>", b"text/html"), Unavailable),
        (refusal(b"200 OK", b'{"result":"PONG"}'), ConnectionFailed),
        (b"SSH-2.0-OpenSSH\r\n", ConnectionFailed),
    ],
)
def test_a_refusal_is_raised_without_the_token(response, error):
    with pytest.raises(error) as raised:
        make_decoder("a").feed(response)
    assert "secret-token" not in str(raised.value)
