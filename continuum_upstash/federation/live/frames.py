"""What a page receives: server-sent events as the browser client of @upstash/realtime expects them.

Each frame is a line of JSON. The lines `id:` and `retry:` are for the browser itself: it sends the
last id again in the header Last-Event-ID when it reconnects, so no event is delivered twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from random import uniform
from time import time
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from continuum_upstash.federation.channels.cursor import Connected, Item, Lost
from continuum_upstash.federation.channels.events import EventId

# A browser that was refused tries again after so many seconds, not at once.
REFUSED_RETRY_SECONDS: Final = 30.0
_MAX_ID_LENGTH: Final = 8 * 1024


def encode_frame(document: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(document, separators=(",", ":")).encode()


class FrameEncoder:
    """Encodes what one page receives, with ids that contain its positions in all channels."""

    def __init__(self, positions: Mapping[str, EventId | int | None]) -> None:
        """
        Args:
            positions: those with which the page has begun.
        """
        self._positions = {
            name: position for name, position in positions.items() if isinstance(position, EventId)
        }
        self._quoted = {name: quote(name, safe="") for name in positions}

    def encode(self, items: Iterable[Item]) -> bytes:
        return b"".join(map(self._encode, items))

    def _encode(self, item: Item) -> bytes:
        if isinstance(item, Lost):
            text = f"events of {item.channel} may be missing: it no longer has all of them"
            return encode_error(text)
        if isinstance(item, Connected):
            position = self._advance(item.channel, item.cursor)
            return self._encode_id() + _encode_connected(item.channel, position)
        channel = item.event.channel
        newest = self._advance(channel, item.id)
        frame = b"%bdata: %b\n\n" % (self._encode_id(), item.payload)
        if item.id < newest:
            # The browser client would continue after this id, and get newer events again.
            frame += _encode_connected(channel, newest)
        return frame

    def _advance(self, channel: str, position: EventId) -> EventId:
        newest = max(position, self._positions.get(channel, position))
        self._positions[channel] = newest
        return newest

    def _encode_id(self) -> bytes:
        at = self._positions
        pairs = [f"{quoted}={at[name]}" for name, quoted in self._quoted.items() if name in at]
        return f"id: {'&'.join(pairs)}\n".encode()


def _encode_connected(channel: str, cursor: EventId) -> bytes:
    return encode_frame({"type": "connected", "channel": channel, "cursor": str(cursor)})


def encode_ping() -> bytes:
    return encode_frame({"type": "ping", "timestamp": int(time() * 1000)})


def encode_reconnect() -> bytes:
    return encode_frame({"type": "reconnect", "timestamp": int(time() * 1000)})


def encode_error(text: str) -> bytes:
    return encode_frame({"type": "error", "error": text})


def encode_retry(seconds: float) -> bytes:
    """Return the line that sets after how many seconds, up to twice as many, a page reconnects."""
    return b"retry: %d\n\n" % (uniform(seconds, 2 * seconds) * 1000)  # noqa: S311 jitter


def decode_id(text: str) -> dict[str, EventId]:
    """Return the positions in a Last-Event-ID; what is malformed is left out."""
    if len(text) > _MAX_ID_LENGTH:
        return {}
    pairs = ((name, EventId.parse(value)) for name, value in parse_qsl(text))
    return {name: position for name, position in pairs if position is not None}
