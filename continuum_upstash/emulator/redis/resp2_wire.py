"""RESP2 and RESP3, the protocols of Redis: commands to bytes, bytes to replies.

A reply is `Status`, `bytes` (a bulk string), `int`, `None`, `Error`, a list of replies, or
`NULL_ARRAY`. Status and bulk string are distinct because the REST API encodes them differently.
Over TCP, a client can select RESP3; its other types are `Aggregate` and `Scalar`.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

Argv: TypeAlias = Sequence[bytes]


class Status(bytes):
    """A simple string such as OK or PONG."""


class Error(bytes):
    """The text of an error reply. `http_status` applies if it is the only reply of a response."""

    http_status = 400


class Scalar(bytes):
    """A double, boolean, big number or verbatim string of RESP3: its text, and its first byte."""

    kind: bytes

    @classmethod
    def create(cls, kind: bytes, text: bytes) -> "Scalar":
        scalar = cls(text)
        scalar.kind = kind
        return scalar


class Aggregate(list[Any]):
    """A map (as keys and values in turn), set or push message of RESP3."""

    kind: bytes

    @classmethod
    def create(cls, kind: bytes, items: Iterable[Any]) -> "Aggregate":
        aggregate = cls(items)
        aggregate.kind = kind
        return aggregate


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


def pack_reply(reply: Reply, protocol: int = 2) -> bytes:  # noqa: PLR0911 - a line for each type
    match reply:
        case None:
            return b"$-1\r\n" if protocol == 2 else b"_\r\n"
        case NullArray():
            return b"*-1\r\n" if protocol == 2 else b"_\r\n"
        case int():
            return b":%d\r\n" % reply
        case Status():
            return b"+%b\r\n" % reply
        case Error():
            # An error is one line; the text of a Lua traceback contains line breaks.
            return b"-%b\r\n" % reply.replace(b"\r", b" ").replace(b"\n", b" ")
        case Scalar(kind=b"="):
            return b"=%d\r\n%b\r\n" % (len(reply), reply)
        case Scalar():
            return b"%b%b\r\n" % (reply.kind, reply)
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
    kind = reply.kind if isinstance(reply, Aggregate) else b"*"
    length = len(reply) // 2 if kind == b"%" else len(reply)
    return b"%b%d\r\n" % (kind, length) + b"".join(pack_reply(item, protocol) for item in reply)


def measure_size(reply: Reply) -> int:
    """Return the bytes of all strings in a reply, which the service compares with its limit."""
    if isinstance(reply, bytes):
        return len(reply)
    return sum(map(measure_size, reply)) if isinstance(reply, list) else 0


class _Incomplete:
    """The buffer ends inside a token."""


class _IncompleteArray(list[Reply]):
    """An array that still lacks items."""

    kind: bytes
    length: int

    def complete(self) -> Reply:
        return list(self) if self.kind == b"*" else Aggregate.create(self.kind, self)


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
            value = self._arrays.pop().complete()
        return value

    def _read_token(self) -> Reply:
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            return _INCOMPLETE
        kind, line = self._buffer[self._at], bytes(self._buffer[self._at + 1 : end])
        if kind in b"$=":
            text = self._read_bulk_string(int(line), end + 2)
            return Scalar.create(b"=", text) if kind == 0x3D and text is not _INCOMPLETE else text
        self._at = end + 2
        return _read_line(bytes([kind]), line)

    def _read_bulk_string(self, length: int, start: int) -> Reply:
        if length < 0:
            self._at = start
            return None
        if len(self._buffer) < start + length + 2:
            return _INCOMPLETE
        self._at = start + length + 2
        return bytes(self._buffer[start : start + length])


def _read_line(kind: bytes, line: bytes) -> Reply:
    """Return the reply of one line, or an array that still lacks items."""
    match kind:
        case b"+":
            return Status(line)
        case b"-":
            return Error(line)
        case b":":
            return int(line)
        case b"*" | b"%" | b"~" | b">":
            return _start_array(kind, int(line))
        case b"," | b"#" | b"(":
            return Scalar.create(kind, line)
        case b"_":
            return None
    raise ValueError(f"not a reply of RESP: {kind + line!r}")


def _start_array(kind: bytes, length: int) -> Reply:
    if length < 0:
        return NULL_ARRAY
    array = _IncompleteArray()
    array.kind = kind
    array.length = 2 * length if kind == b"%" else length
    return array if length else array.complete()
