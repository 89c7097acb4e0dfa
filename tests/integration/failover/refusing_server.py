"""A Redis server that accepts every login and returns one error for every command."""

from __future__ import annotations

import socketserver
import threading

import hiredis

_HANDSHAKE = frozenset({b"AUTH", b"CLIENT", b"HELLO", b"SELECT"})


class RefusingServer:
    """
    Attributes:
        error: the error that it returns, such as ``ERR max requests limit exceeded``; None: it
            replies to PING, UNLINK and GET as a healthy server without data.
    """

    def __init__(self, error: str) -> None:
        self.error: str | None = error
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                reader = hiredis.Reader()
                while data := self.request.recv(65536):
                    reader.feed(data)
                    while command := reader.gets():
                        self.request.sendall(server.make_reply(command[0].upper()))

        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._tcp.daemon_threads = True
        self.url = f"redis://default:s3cret@127.0.0.1:{self._tcp.server_address[1]}"
        self._thread = threading.Thread(target=self._tcp.serve_forever, args=(0.01,))
        self._thread.start()

    def make_reply(self, name: bytes) -> bytes:
        if name in _HANDSHAKE:
            return b"+OK\r\n"
        if self.error is not None:
            return f"-{self.error}\r\n".encode()
        return {b"PING": b"+PONG\r\n", b"UNLINK": b":1\r\n"}.get(name, b"$-1\r\n")

    def stop(self) -> None:
        self._tcp.shutdown()
        self._tcp.server_close()
        self._thread.join()
