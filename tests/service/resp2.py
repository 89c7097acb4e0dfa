"""RESP2, the protocol of Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/.

Unlike the parsers in use, this one keeps the difference between a status and a bulk string.
"""

from __future__ import annotations

from typing import Any

from tests.service.expectations import ErrorReply


class Incomplete(Exception):
    """The reply does not end in these bytes."""


class Status(str):
    """A status reply, such as OK; a bulk string is bytes."""

    __slots__ = ()


def encode(words: tuple[str | int | bytes, ...]) -> bytes:
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def decode(data: bytes, start: int = 0) -> tuple[Any, int]:
    """Return the reply that begins at `start`, and where it ends.

    Raises:
        Incomplete: more bytes are needed.
        ValueError: this is not RESP2.
    """
    end = data.find(b"\r\n", start)
    if end < 0:
        raise Incomplete
    kind, line, end = data[start : start + 1], data[start + 1 : end], end + 2
    match kind:
        case b"+":
            return Status(line.decode()), end
        case b"-":
            return ErrorReply(line.decode(errors="replace")), end
        case b":":
            return int(line), end
        case b"$":
            return _decode_bulk(data, int(line), end)
        case b"*":
            return _decode_array(data, int(line), end)
    raise ValueError(f"not a reply of RESP2: {data[start : start + 40]!r}")


def _decode_bulk(data: bytes, length: int, start: int) -> tuple[bytes | None, int]:
    if length < 0:
        return None, start
    if len(data) < start + length + 2:
        raise Incomplete
    return data[start : start + length], start + length + 2


def _decode_array(data: bytes, length: int, start: int) -> tuple[list[Any] | None, int]:
    if length < 0:
        return None, start
    items = []
    for _ in range(length):
        item, start = decode(data, start)
        items.append(item)
    return items, start
