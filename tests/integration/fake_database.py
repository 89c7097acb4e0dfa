"""A database over REST and TCP whose replies a test can replace, command by command.

It is a second reading of both protocols, and shares only the local store with the package, to have
data. Faults of the network are the emulator's and the scripted server's.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import hiredis

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.local.transport import LocalTransport

PASS = object()
SECRET = "s3cret-t0ken"
_HANDSHAKE = frozenset({"AUTH", "CLIENT", "HELLO", "SELECT"})
_SCRIPTS = {INCR_EXISTING.source(key_locking=flag): INCR_EXISTING for flag in (True, False)}


class FakeDatabase:
    """
    Attributes:
        intercept: called with the name of each command and its arguments; returns a reply that
            replaces the database's (an error is a ReplyError), or PASS.
        login_error: the error of the commands of a TCP handshake; None: they succeed.
        status: of HTTP responses with an error of a single command.
        sent: the names of the commands that arrived.
    """

    def __init__(self) -> None:
        self.intercept: Callable[..., object] = lambda *_: PASS
        self.login_error: str | None = None
        self.status = 400
        self.sent: list[str] = []
        self._store = LocalTransport(Config())
        self._lock = threading.Lock()
        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._make_tcp_handler())
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._make_http_handler())
        self._threads = []
        for server in (self._tcp, self._http):
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            self._threads.append(thread)

    def url(self, transport: str) -> str:
        """Return the URL for REST or TCP; the token and the password are SECRET."""
        if transport == "rest":
            return f"http://127.0.0.1:{self._http.server_address[1]}"
        return f"redis://default:{SECRET}@127.0.0.1:{self._tcp.server_address[1]}"

    def stop(self) -> None:
        for server in (self._tcp, self._http):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def run(self, parts: list[bytes]) -> object:
        """Run one command, or replace its reply."""
        name = parts[0].decode().upper()
        if name in _HANDSHAKE:
            return b"OK" if self.login_error is None else ReplyError(self.login_error)
        self.sent.append(name)
        reply = self.intercept(name, *parts[1:])
        if reply is not PASS:
            return reply
        arguments: list[object] = list(parts[1:])
        if name == "EVAL":
            arguments[0] = _SCRIPTS[parts[1].decode()]
        with self._lock:
            return self._store.send(Batch(((name, *arguments),)))[0]

    def serve_connection(self, connection: socket.socket) -> None:
        """Reply to the commands of one TCP connection until it is closed."""
        reader = hiredis.Reader()
        queue: list[list[bytes]] | None = None
        while data := connection.recv(65536):
            reader.feed(data)
            while command := reader.gets():
                name = command[0].upper()
                if name == b"MULTI":
                    queue, reply = [], b"OK"
                elif name == b"EXEC" and queue is not None:
                    reply, queue = [self.run(each) for each in queue], None
                elif queue is not None:
                    queue.append(command)
                    reply = b"QUEUED"
                else:
                    reply = self.run(command)
                connection.sendall(encode_resp2(reply))

    def _make_tcp_handler(self) -> type[socketserver.BaseRequestHandler]:
        database = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with suppress(OSError):  # a client that gives up resets the connection
                    database.serve_connection(self.request)

        return Handler

    def _make_http_handler(self) -> type[BaseHTTPRequestHandler]:
        database = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                url = urlsplit(self.path)
                if url.path in {"/pipeline", "/multi-exec"}:
                    replies = [
                        database.run(list(map(_to_bytes, each))) for each in json.loads(body)
                    ]
                    self._respond(200, json.dumps([_to_entry(each) for each in replies]).encode())
                    return
                if url.path == "/":
                    command = list(map(_to_bytes, json.loads(body)))
                else:
                    command = [unquote_to_bytes(part) for part in url.path[1:].split("/")]
                    command.append(body)
                    for pair in parse_qsl(url.query, keep_blank_values=True):
                        command += [part.encode() for part in pair if part]
                reply = database.run(command)
                if isinstance(reply, ReplyError):
                    self._respond(database.status, json.dumps({"error": str(reply)}).encode())
                else:
                    self._respond(200, encode_resp2(reply))

            def _respond(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Write nothing to the terminal."""

        return Handler


def encode_resp2(reply: object) -> bytes:
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, list):
        return b"*%d\r\n" % len(reply) + b"".join(map(encode_resp2, reply))
    return f"-{str(reply).splitlines()[0]}\r\n".encode()


def _to_entry(reply: object) -> dict[str, object]:
    return {"error": str(reply)} if isinstance(reply, ReplyError) else {"result": _to_base64(reply)}


def _to_base64(reply: object) -> object:
    if isinstance(reply, bytes):
        return "OK" if reply == b"OK" else b64encode(reply).decode()
    return [_to_base64(each) for each in reply] if isinstance(reply, list) else reply


def _to_bytes(argument: object) -> bytes:
    return argument.encode() if isinstance(argument, str) else str(argument).encode()
