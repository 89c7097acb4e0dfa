from __future__ import annotations

import socket

import hiredis

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply


class ValkeyConnection:
    """One connection to a Valkey. Replies have the types of RESP2, without any conversion."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._reader = hiredis.Reader()

    def close(self) -> None:
        self._socket.close()

    def pipeline(self, *commands: tuple[str | int | bytes, ...]) -> list[Reply]:
        self._socket.sendall(b"".join(hiredis.pack_command(command) for command in commands))
        return [self._read_reply() for _ in commands]

    def call(self, *command: str | int | bytes) -> Reply:
        return self.pipeline(command)[0]

    def _read_reply(self) -> Reply:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(1 << 20)
            assert data, "Valkey closed the connection"
            self._reader.feed(data)
        return _convert_errors(reply)


def _convert_errors(reply: object) -> Reply:
    if isinstance(reply, hiredis.ReplyError):
        return ReplyError(str(reply))
    if isinstance(reply, list):
        return [_convert_errors(item) for item in reply]
    assert reply is None or isinstance(reply, bytes | int)
    return reply
