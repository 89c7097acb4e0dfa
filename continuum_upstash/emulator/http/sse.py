"""Server-sent events: /subscribe, /psubscribe and /monitor. The request's body is ignored.

Source: https://upstash.com/docs/redis/features/restapi, "Server-Sent Events".
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from continuum_upstash.emulator.http.utf8 import decode_text
from continuum_upstash.emulator.redis.resp2_wire import Argv, Reply
from continuum_upstash.emulator.redis.upstream import Address, connect

MEDIA_TYPE: Final = "text/event-stream"
_STREAMS: Final = frozenset((b"subscribe", b"psubscribe", b"monitor"))


def is_event_stream(headers: Mapping[str, str], segments: list[bytes]) -> bool:
    accepts = MEDIA_TYPE in headers.get("accept", "")
    return accepts and bool(segments) and segments[0].lower() in _STREAMS


async def stream_events(address: Address, command: Argv) -> AsyncIterator[bytes]:
    """Yield events, never in base64, on a connection of its own until the client disconnects."""
    connection = await connect(address)
    try:
        async for push in connection.listen(command):
            yield _format_event(push)
    finally:
        connection.close()


def _format_event(push: Reply) -> bytes:
    if isinstance(push, list):
        text = b",".join(part if isinstance(part, bytes) else b"%d" % part for part in push)
    else:
        text = b'"OK"' if push == b"OK" else push
    lines = decode_text(text).encode().split(b"\n")
    return b"".join(b"data: %b\n" % line for line in lines) + b"\n"
