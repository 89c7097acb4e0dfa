"""Subscriptions over TCP, without any I/O: RESP2's SUBSCRIBE, and what the server then sends."""

from __future__ import annotations

from typing import Any, Final

from hiredis import ProtocolError

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.redis_errors import protocol_error
from continuum_upstash.transports.redis.resp2 import INCOMPLETE, ReplyReader
from continuum_upstash.transports.service_errors import find_fatal_error
from continuum_upstash.transports.subscriptions.messages import (
    MAX_MESSAGE_BYTES,
    Message,
    message_too_large,
)

_MAX_BUFFERED: Final = MAX_MESSAGE_BYTES + 64 * 1024


def make_request(channels: tuple[str, ...]) -> bytes:
    return resp2.pack(Batch([("SUBSCRIBE", *channels)]), key_locking=False)


class PubSubDecoder:
    """Decodes what a connection receives after SUBSCRIBE.

    Attributes:
        is_subscribed: whether the server has confirmed every channel.
        has_ended: False, since only the end of the connection ends it.
    """

    def __init__(self, label: str, channels: tuple[str, ...]) -> None:
        self.is_subscribed = self.has_ended = False
        self._label = label
        self._names = {name.encode(): name for name in channels}
        self._unconfirmed = len(channels)
        self._reader = ReplyReader()
        self._buffered = 0

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that received bytes complete; see `Decoder`."""
        messages: list[Message] = []
        self._buffered += len(data)
        try:
            self._reader.feed(data)
            while (reply := self._reader.next()) is not INCOMPLETE:
                self._buffered = 0
                self._read(reply, messages)
        except ProtocolError as error:
            raise protocol_error(self._label) from error
        if self._buffered > _MAX_BUFFERED:
            raise message_too_large(self._label)
        return messages

    def _read(self, reply: Any, messages: list[Message]) -> None:
        match reply:
            case [b"message", bytes(channel), bytes(data)] if channel in self._names:
                messages.append(Message(self._names[channel], data))
            case [b"subscribe", _, _]:
                self._unconfirmed -= 1
                self.is_subscribed = self._unconfirmed <= 0
            case ReplyError():
                raise find_fatal_error(reply, self._label) or reply
            case [_, _, _]:
                return  # of a newer protocol: ignored
            case _:
                raise protocol_error(self._label)
