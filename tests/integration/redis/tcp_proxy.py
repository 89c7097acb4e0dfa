"""A TCP proxy that records the traffic, and that a test can break."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)  # closing sends RST


class Proxy:
    """
    Attributes:
        accepted: how many connections there were.
        received: all bytes that clients sent.
        drop_after: close a connection after so many bytes of replies; None: never.
        reading: while cleared, nothing more is read from clients.
        byte_delay: seconds between the bytes of replies; 0: no delay.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.accepted = 0
        self.received = bytearray()
        self.drop_after: int | None = None
        self.byte_delay = 0.0
        self.reading = threading.Event()
        self.reading.set()
        self._target = target
        self._tls = tls
        self._dropped_up_to = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def drop_all_traffic(self) -> None:
        """Discard what is sent over the connections that are open now."""
        self._dropped_up_to = self.accepted

    def close_connections(self, *, reset: bool = False) -> None:
        """Close the connections that are open now."""
        for sock in self._open:
            with suppress(OSError):
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        self.reading.set()
        for thread in self._threads:
            thread.join()

    def _start(self, run, *arguments) -> None:
        thread = threading.Thread(target=run, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._start(self._connect, near, self.accepted)

    def _connect(self, near: socket.socket, number: int) -> None:
        if self._tls is not None:
            try:
                near = self._tls.wrap_socket(near, server_side=True)
            except OSError:  # the client rejected the certificate, as some tests want
                near.close()
                return
        far = socket.create_connection(("127.0.0.1", self._target))
        self._open += [near, far]
        back = threading.Thread(target=self._forward_replies, args=(far, near, number))
        back.start()
        self._forward_requests(near, far, number)
        back.join()
        near.close()
        far.close()

    def _forward_requests(self, near: socket.socket, far: socket.socket, number: int) -> None:
        with _close_together(near, far):
            while data := near.recv(65536):
                self.received += data
                if number > self._dropped_up_to:
                    far.sendall(data)
                self.reading.wait()

    def _forward_replies(self, far: socket.socket, near: socket.socket, number: int) -> None:
        passed = 0
        with _close_together(near, far):
            while data := far.recv(65536):
                if self.drop_after is not None and passed + len(data) > self.drop_after:
                    near.sendall(data[: self.drop_after - passed])
                    return
                passed += len(data)
                if number > self._dropped_up_to:
                    for piece in self._split(data):
                        near.sendall(piece)

    def _split(self, data: bytes) -> Iterator[bytes]:
        if not self.byte_delay:
            yield data
            return
        for byte in data:
            time.sleep(self.byte_delay)
            yield bytes([byte])


@contextmanager
def _close_together(*sockets: socket.socket) -> Iterator[None]:
    """Shut both sides down when the block ends."""
    try:
        with suppress(OSError):
            yield
    finally:
        for sock in sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
