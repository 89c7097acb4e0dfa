"""Subscriptions over REST, without any I/O: the request, and the server-sent events it returns.

Source: https://upstash.com/docs/redis/features/restapi, "Server-Sent Events".

    data: subscribe,room,1
    data: message,room,hello
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import httptools

from continuum_upstash.errors import ConnectionFailed, ReplyError
from continuum_upstash.transports.rest.dialect import RestDialect
from continuum_upstash.transports.rest.http11 import (
    MAX_HEAD_BYTES,
    HttpResponse,
    RequestEncoder,
)
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.rest.responses import decode_replies
from continuum_upstash.transports.subscriptions.messages import (
    MAX_MESSAGE_BYTES,
    Message,
    message_too_large,
)

# Field name, kind, channel and commas; and what a chunk may contain besides.
_MAX_BUFFERED: Final = MAX_MESSAGE_BYTES + 64 * 1024


def make_request(channels: tuple[str, ...]) -> Request:
    path = "/".join(quote(channel, safe="") for channel in channels)
    return Request("events", f"/subscribe/{path}", b"[]")


class EventStreamDecoder:
    """Decodes the response to a subscription.

    Attributes:
        is_subscribed: whether the server has confirmed every channel.
        has_ended: whether the response is complete.
    """

    def __init__(self, encoder: RequestEncoder, channels: tuple[str, ...]) -> None:
        self.is_subscribed = False
        self._encoder = encoder
        self._label = encoder.label
        # The longest first: a channel's name may contain a comma.
        names = sorted(channels, key=len, reverse=True)
        self._prefixes = [(b"message,%b," % name.encode(), name) for name in names]
        self._unconfirmed = len(set(channels))
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._has_head = self._is_stream = self.has_ended = False
        self._head_bytes = 0
        self._line = bytearray()
        self._event: list[bytes] = []
        self._event_bytes = 0
        # httptools looks its callbacks up once; methods of builtins are the fastest.
        self.on_header = self._headers.__setitem__
        self.on_body = self._body.append
        self._parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= HTTPStatus.OK
        self._is_stream = self._has_head and self._is_event_stream()

    def on_message_complete(self) -> None:
        self.has_ended = self._has_head
        if not self._has_head:  # informational (RFC 9110, section 15.2): the response follows
            self._headers.clear()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that received bytes complete; see `Decoder`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ConnectionFailed(
                f"{self._label}: the response is not HTTP/1.1 ({type(error).__name__}). "
                "Check that the URL is the database's REST URL."
            ) from error
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise ConnectionFailed(
                    f"{self._label}: the response's headers exceed {MAX_HEAD_BYTES >> 10} KB."
                )
            return []
        if not self._is_stream:
            return self._read_refusal()
        self._headers.clear()  # of trailers: a response without an end may have many
        body = b"".join(self._body)
        self._body.clear()
        return self._decode_lines(body)

    def _is_event_stream(self) -> bool:
        headers = {name.lower(): value for name, value in self._headers.items()}
        is_plain = headers.get(b"content-encoding", b"identity").strip().lower() == b"identity"
        is_stream = b"text/event-stream" in headers.get(b"content-type", b"").lower()
        return self._parser.get_status_code() == HTTPStatus.OK and is_stream and is_plain

    def _read_refusal(self) -> list[Message]:
        """Raise what a response other than an event stream means, once it is complete."""
        body = b"".join(self._body)
        if not self.has_ended and len(body) <= MAX_HEAD_BYTES:
            return []
        headers = {name.lower(): value for name, value in self._headers.items()}
        response = HttpResponse(self._parser.get_status_code(), headers, body, reusable=False)
        request = make_request(("",))._replace(kind="command")
        replies = decode_replies(
            response,
            request,
            [("SUBSCRIBE",)],
            self._label,
            RestDialect(),
            make_error=self._encoder.make_error,
        )
        if isinstance(replies[0], ReplyError):
            raise replies[0]
        raise ConnectionFailed(
            f"{self._label}: the server does not support subscriptions: the response is not an "
            "event stream."
        )

    def _decode_lines(self, body: bytes) -> list[Message]:
        messages: list[Message] = []
        *lines, rest = body.split(b"\n")
        for line in lines:
            self._line += line
            complete = bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            if complete.startswith(b"data:"):
                self._add(complete[5:].removeprefix(b" "))
            elif not complete:
                self._end_event(messages)
        self._line += rest
        self._check_size(0)
        return messages

    def _add(self, line: bytes) -> None:
        self._check_size(len(line))
        self._event.append(line)

    def _check_size(self, size: int) -> None:
        self._event_bytes += size
        if self._event_bytes + len(self._line) > _MAX_BUFFERED:
            raise message_too_large(self._label)

    def _end_event(self, messages: list[Message]) -> None:
        event = b"\n".join(self._event)
        self._event.clear()
        self._event_bytes = 0
        if event.startswith(b"subscribe,"):
            self._unconfirmed -= 1
            self.is_subscribed = self._unconfirmed <= 0
            return
        for prefix, name in self._prefixes:
            if event.startswith(prefix):
                messages.append(Message(name, event[len(prefix) :]))
                return
