"""RESP2, the protocol of Redis: commands to bytes, bytes to replies.

A reply is `Status`, `bytes` (a bulk string), `int`, `None`, `Error`, a list of replies, or
`NULL_ARRAY`. Status and bulk string are distinct because the REST API encodes them differently.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2 part).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

Argv: TypeAlias = Sequence[bytes]


class Status(bytes):
    """A simple string such as OK or PONG."""


class Error(bytes):
    """The text of an error reply. `http_status` applies if it is the only reply of a response."""

    http_status = 400


class NullArray:
    """`*-1`: null in JSON, like `$-1`, but a different reply in RESP2."""


OK: Final = Status(b"OK")
NULL_ARRAY: Final = NullArray()

# The type is recursive: with an exact one, each use of a nested reply must narrow every level.
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
            # An error is one line; the text of a Lua traceback contains line breaks.
            return b"-%b\r\n" % reply.replace(b"\r", b" ").replace(b"\n", b" ")
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case _:
            return b"*%d\r\n%b" % (len(reply), b"".join(map(pack_reply, reply)))


def measure_size(reply: Reply) -> int:
    """Return the bytes of all strings in a reply, which the service compares with its limit."""
    if isinstance(reply, bytes):
        return len(reply)
    return sum(map(measure_size, reply)) if isinstance(reply, list) else 0


class _Incomplete:
    """The buffer ends inside a token."""


class _IncompleteArray(list[Reply]):
    """An array that still lacks items."""

    length: int


_INCOMPLETE: Final = _Incomplete()


class Parser:
    """Accepts bytes in pieces and returns each reply when it is complete.

    Incomplete arrays are kept between calls of `feed`, so that a reply in many pieces is parsed
    only once.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._arrays: list[_IncompleteArray] = []

    def feed(self, data: bytes) -> list[Reply]:
        self._buffer += data
        replies = []
        while (token := self._read_token()) is not _INCOMPLETE:
            if isinstance(token, _IncompleteArray):
                self._arrays.append(token)
            elif (reply := self._add_to_array(token)) is not _INCOMPLETE:
                replies.append(reply)
        del self._buffer[: self._at]
        self._at = 0
        return replies

    def _add_to_array(self, value: Reply) -> Reply:
        """Append the value to the innermost array. Return a complete reply, or _INCOMPLETE."""
        while self._arrays:
            array = self._arrays[-1]
            array.append(value)
            if len(array) < array.length:
                return _INCOMPLETE
            value = list(self._arrays.pop())
        return value

    def _read_token(self) -> Reply:
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            return _INCOMPLETE
        kind, line = self._buffer[self._at], bytes(self._buffer[self._at + 1 : end])
        if kind == 0x24:  # $
            return self._read_bulk_string(int(line), end + 2)
        self._at = end + 2
        match kind:
            case 0x2B:  # +
                return Status(line)
            case 0x3A:  # :
                return int(line)
            case 0x2D:  # -
                return Error(line)
            case 0x2A:  # *
                return _start_array(int(line))
        raise ValueError(f"not a RESP2 reply: {bytes([kind]) + line!r}")

    def _read_bulk_string(self, length: int, start: int) -> Reply:
        if length < 0:
            self._at = start
            return None
        if len(self._buffer) < start + length + 2:
            return _INCOMPLETE
        self._at = start + length + 2
        return bytes(self._buffer[start : start + length])


def _start_array(length: int) -> Reply:
    if length <= 0:
        return NULL_ARRAY if length < 0 else []
    array = _IncompleteArray()
    array.length = length
    return array
