"""One TCP connection by the standard library alone."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from tests.service.counter import CommandCounter
from tests.service.expectations import ErrorReply
from tests.service.resp2 import Incomplete, decode, encode

TIMEOUT: Final = 8.0  # seconds


class TcpConnection:
    """A connection on which nothing has been sent yet.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, url: str, counter: CommandCounter, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        self._host, self._counter, self._received = parts.hostname or "", counter, b""
        self.username = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        raw = socket.create_connection((self._host, parts.port or 6379), timeout=timeout)
        self._socket = self._encrypt(raw) if parts.scheme == "rediss" else raw

    def _encrypt(self, raw: socket.socket) -> socket.socket:
        try:
            return ssl.create_default_context().wrap_socket(raw, server_hostname=self._host)
        except OSError:
            raw.close()
            raise

    def authenticate(self) -> Any:
        return self.call("AUTH", *filter(None, (self.username, self.password)))

    def call(self, *words: str | int | bytes) -> Any:
        """Send one command; return its reply."""
        (reply,) = self.call_many(words)
        return reply

    def call_many(self, *commands: tuple[str | int | bytes, ...]) -> list[Any]:
        """Send commands in one write; return their replies."""
        self._counter.add_commands(commands)
        self._socket.sendall(b"".join(map(encode, commands)))
        return [self._read() for _ in commands]

    def _read(self) -> Any:
        while True:
            try:
                reply, end = decode(self._received)
            except Incomplete:
                data = self._socket.recv(65536)
                if not data:
                    raise ConnectionResetError("the server closed the connection") from None
                self._received += data
            else:
                self._received = self._received[end:]
                return reply

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def to_text(reply: Any) -> Any:
    """Return a reply of ASCII text as the REST API returns it in plain JSON."""
    if isinstance(reply, ErrorReply):
        return reply
    if isinstance(reply, list):
        return [to_text(item) for item in reply]
    return reply.decode() if isinstance(reply, bytes) else reply
