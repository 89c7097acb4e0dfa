"""Reads the commands that a client sends over TCP, with a bound on what is kept of them."""

from dataclasses import dataclass
from typing import Final

from continuum_upstash.emulator.redis.resp2_wire import Argv

_MAX_LINE_BYTES: Final = 64 * 1024
_MAX_ARGUMENTS: Final = 1024 * 1024


class ProtocolError(ValueError):
    """The data is not a command. The connection must be closed."""


@dataclass(frozen=True, slots=True)
class TcpRequest:
    """One command. `size`: the bytes of all arguments; beyond the limit, `argv` lacks some."""

    argv: Argv
    size: int


class RequestReader:
    """Accepts bytes in pieces and returns each command when it is complete.

    Arguments beyond `limit` bytes per command are counted and dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._argv: list[bytes] = []
        self._missing = 0  # arguments
        self._size = 0
        self._length: int | None = None  # of the argument that comes next
        self._dropped = 0  # bytes to drop

    def feed(self, data: bytes) -> list[TcpRequest]:
        """
        Raises:
            ProtocolError: the data is not a command.
        """
        self._buffer += data
        requests = []
        while self._read_header() and self._read_arguments():
            if self._argv:
                requests.append(TcpRequest(self._argv, self._size))
            self._argv, self._size = [], 0
        return requests

    def _read_header(self) -> bool:
        """Read `*<arguments>`, or a whole inline command. Return whether it is complete."""
        if self._missing:
            return True
        line = self._read_line()
        if line is None:
            return False
        if line.startswith(b"*"):
            self._missing = max(0, _parse_length(line, _MAX_ARGUMENTS, "invalid multibulk length"))
        else:
            self._argv = line.split()
            self._size = sum(map(len, self._argv))
        return True

    def _read_arguments(self) -> bool:
        while self._missing:
            if self._length is None and not self._start_argument():
                return False
            if not self._finish_argument():
                return False
            self._missing -= 1
        return True

    def _start_argument(self) -> bool:
        line = self._read_line()
        if line is None:
            return False
        if not line.startswith(b"$"):
            found = line[:1].decode(errors="replace")
            raise ProtocolError(f"expected '$', got '{found}'")
        self._length = _parse_length(line, 2**40, "invalid bulk length")
        if self._length < 0:
            raise ProtocolError("invalid bulk length")
        self._size += self._length
        if self._size > self._limit:
            self._dropped = self._length + len(b"\r\n")
        return True

    def _finish_argument(self) -> bool:
        assert self._length is not None
        if self._dropped:
            available = min(self._dropped, len(self._buffer))
            del self._buffer[:available]
            self._dropped -= available
            if self._dropped:
                return False
            # The name of the command is needed for its error.
            self._argv += [] if self._argv else [b"?"]
        else:
            end = self._length + len(b"\r\n")
            if len(self._buffer) < end:
                return False
            self._argv.append(bytes(self._buffer[: self._length]))
            del self._buffer[:end]
        self._length = None
        return True

    def _read_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, _MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= _MAX_LINE_BYTES:
                raise ProtocolError("too big inline request")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.rstrip(b"\r")


def _parse_length(line: bytes, maximum: int, error: str) -> int:
    try:
        length = int(line[1:])
    except ValueError:
        raise ProtocolError(error) from None
    if length > maximum:
        raise ProtocolError(error)
    return length
