"""Server-sent events: /subscribe, /psubscribe and /monitor. Never base64, and the body is ignored.

Source: https://upstash.com/docs/redis/features/restapi, "Server-Sent Events".
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from continuum_upstash.emulator.redis.connection import Address, connect
from continuum_upstash.emulator.redis.resp2 import Argv, Reply

MEDIA_TYPE: Final = "text/event-stream"
_STREAMS: Final = frozenset((b"subscribe", b"psubscribe", b"monitor"))


def wanted(headers: Mapping[str, str], segments: list[bytes]) -> bool:
    accepts = MEDIA_TYPE in headers.get("accept", "")
    return accepts and bool(segments) and segments[0].lower() in _STREAMS


async def listen(address: Address, command: Argv) -> AsyncIterator[bytes]:
    """Events on a connection of their own, until the client leaves."""
    connection = await connect(address)
    try:
        async for push in connection.listen(command):
            yield _event(push)
    finally:
        connection.close()


def _event(push: Reply) -> bytes:
    if isinstance(push, list):
        text = b",".join(part if isinstance(part, bytes) else b"%d" % part for part in push)
    else:
        text = b'"OK"' if push == b"OK" else push
    lines = text.decode(errors="replace").encode().split(b"\n")
    return b"".join(b"data: %b\n" % line for line in lines) + b"\n"
