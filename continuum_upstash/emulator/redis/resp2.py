"""RESP2, the protocol of Redis: commands to bytes, bytes to replies.

A reply is `Status`, `bytes` (a bulk string), `int`, `None`, `Error`, a list of replies, or
`NULL_ARRAY`. Status and bulk stay apart because the REST API encodes them differently.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2 part).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

Argv: TypeAlias = Sequence[bytes]


class Status(bytes):
    """A simple string such as OK or PONG."""


class Error(bytes):
    """An error reply: its text, and the HTTP status that a lone command's error travels with."""

    http_status = 400


class NullArray:
    """`*-1`: as null as `$-1` in JSON, but a different reply on the wire."""


OK: Final = Status(b"OK")
NULL_ARRAY: Final = NullArray()

# Recursive, and mypy would want every reader of a nested reply to narrow each level.
Reply: TypeAlias = Any


def pack(commands: Iterable[Argv]) -> bytes:
    parts: list[bytes] = []
    for argv in commands:
        parts.append(b"*%d\r\n" % len(argv))
        for argument in argv:
            parts += (b"$%d\r\n" % len(argument), argument, b"\r\n")
    return b"".join(parts)


def pack_reply(reply: Reply) -> bytes:  # noqa: PLR0911 - one line for each type of reply
    match reply:
        case None:
            return b"$-1\r\n"
        case NullArray():
            return b"*-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case Status():
            return b"+%b\r\n" % reply
        case Error():
            # A simple line cannot hold a line break; the text of a Lua traceback has some.
            return b"-%b\r\n" % reply.replace(b"\r", b" ").replace(b"\n", b" ")
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case _:
            return b"*%d\r\n%b" % (len(reply), b"".join(map(pack_reply, reply)))


def size(reply: Reply) -> int:
    """The bytes of a reply's strings, as the service counts a reply against its limit."""
    if isinstance(reply, bytes):
        return len(reply)
    return sum(map(size, reply)) if isinstance(reply, list) else 0


class _Incomplete:
    """The bytes at hand end before the next token does."""


class _Opened(list[Reply]):
    """An array whose items are still to come."""

    wanted: int


_INCOMPLETE: Final = _Incomplete()


class Parser:
    """Takes bytes as they come and gives each reply once it is whole.

    Arrays under construction are kept between feeds, so a reply that arrives in many pieces is
    read once and not again with each piece.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._open: list[_Opened] = []

    def feed(self, data: bytes) -> list[Reply]:
        self._buffer += data
        replies = []
        while (token := self._token()) is not _INCOMPLETE:
            if isinstance(token, _Opened):
                self._open.append(token)
            elif (closed := self._close(token)) is not _INCOMPLETE:
                replies.append(closed)
        del self._buffer[: self._at]
        self._at = 0
        return replies

    def _close(self, value: Reply) -> Reply:
        """Hand a finished value to the array it belongs to; return it when it belongs to none."""
        while self._open:
            array = self._open[-1]
            array.append(value)
            if len(array) < array.wanted:
                return _INCOMPLETE
            value = list(self._open.pop())
        return value

    def _token(self) -> Reply:
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            return _INCOMPLETE
        kind, line = self._buffer[self._at], bytes(self._buffer[self._at + 1 : end])
        if kind == 0x24:  # $
            return self._bulk(int(line), end + 2)
        self._at = end + 2
        match kind:
            case 0x2B:  # +
                return Status(line)
            case 0x3A:  # :
                return int(line)
            case 0x2D:  # -
                return Error(line)
            case 0x2A:  # *
                return _array(int(line))
        raise ValueError(f"not a RESP2 reply: {bytes([kind]) + line!r}")

    def _bulk(self, length: int, start: int) -> Reply:
        if length < 0:
            self._at = start
            return None
        if len(self._buffer) < start + length + 2:
            return _INCOMPLETE
        self._at = start + length + 2
        return bytes(self._buffer[start : start + length])


def _array(length: int) -> Reply:
    if length <= 0:
        return NULL_ARRAY if length < 0 else []
    array = _Opened()
    array.wanted = length
    return array
