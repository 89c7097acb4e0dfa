"""A server whose behaviour a test writes, byte by byte; it records requests and connections."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import trustme

OK = b"+OK\r\n"


def http_response(body: bytes = OK, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: ScriptedServer, sock: socket.socket, number: int) -> None:
        self.number = number
        self.sock = sock
        self.server = server
        self._buffer = b""

    def read_request(self) -> bytes | None:
        """Return the body of the next request, or None when the client has closed."""
        head = self.read_head()
        if head is None:
            return None
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(self._buffer) < length:
            if not self._receive():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        self.server.requests.append(body)
        self.server.arrived.release()
        return body

    def read_head(self) -> bytes | None:
        """Return the head of the next request, without reading its body."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._receive():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.server.heads.append(head)
        return head + b"\r\n"

    @property
    def buffered(self) -> bytes:
        """The bytes received after the last head."""
        return self._buffer

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_until_closed(self) -> None:
        """Wait until the client closes."""
        while self._receive():
            pass

    def _receive(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)


class ScriptedServer:
    """Runs `behave` in a thread per connection; by default it responds OK to every request.

    Attributes:
        accepted: how many connections there were.
        requests: the bodies received, in order.
        heads: the request lines and headers.
        arrived: released once per request.
    """

    def __init__(
        self,
        behave: Callable[[Peer], None] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.accepted = 0
        self.requests: list[bytes] = []
        self.heads: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self.stopping = threading.Event()
        self._behave = behave or respond_ok
        self._tls = tls
        self._scheme = "http" if tls is None else "https"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closed = threading.Condition()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}"

    def wait_until_all_closed(self) -> None:
        """Wait until all clients have closed; fail if one never does."""
        with self._closed:
            assert self._closed.wait_for(lambda: not self._open, timeout=20), (
                "a client is still connected"
            )

    def stop(self) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._closed:
            for sock in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            with self._closed:
                self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock, self.accepted))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        sock = plain
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                with self._closed:
                    self._open.add(sock)
                sock.do_handshake()
            self._behave(Peer(self, sock, number))
        except OSError:
            pass  # the client closed the connection, as some tests want
        finally:
            sock.close()
            plain.close()
            with self._closed:
                self._open -= {sock, plain}
                self._closed.notify_all()


def respond_ok(peer: Peer) -> None:
    while peer.read_request() is not None:
        peer.send(http_response())


def make_tls_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
