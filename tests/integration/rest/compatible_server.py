"""A REST server in front of a plain Valkey with the routes of serverless-redis-http.

POST /, /pipeline and /multi-exec; any other path is 404. It ignores Upstash-Response-Format, and
encodes results, but no errors, if Upstash-Encoding is base64.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from tests.valkey_connection import ValkeyConnection

TOKEN = "secret-token"


class CompatibleServer:
    """Serves until `stop`.

    Attributes:
        url: of its root.
        paths: how often each was requested.
    """

    def __init__(self, valkey_port: int) -> None:
        self.paths: Counter[str] = Counter()
        self._valkey_port = valkey_port
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server.paths[self.path.partition("?")[0].partition("/")[2].partition("/")[0]] += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, document = server.make_response(self.path, self.headers, body)
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler

    def make_response(self, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"error": "Unauthorized"}
        if path not in {"/", "/pipeline", "/multi-exec"}:
            return 404, "SRH: Endpoint not found"
        encode = headers["Upstash-Encoding"] == "base64"
        commands = json.loads(body)
        if path == "/":
            (entry,) = self._run([commands], encode=encode)
            return (400 if "error" in entry else 200), entry
        if path == "/pipeline":
            return 200, self._run(commands, encode=encode)
        *_, replies = self._call([["MULTI"], *commands, ["EXEC"]])
        if isinstance(replies, ReplyError):
            return 400, {"error": str(replies)}
        assert isinstance(replies, list)
        return 200, [_to_entry(reply, encode=encode) for reply in replies]

    def _run(self, commands: list[list[str]], *, encode: bool) -> list[dict[str, Any]]:
        return [_to_entry(reply, encode=encode) for reply in self._call(commands)]

    def _call(self, commands: list[list[str]]) -> list[Reply]:
        connection = ValkeyConnection(self._valkey_port)
        try:
            return connection.pipeline(*(tuple(command) for command in commands))
        finally:
            connection.close()


def _to_entry(reply: Reply, *, encode: bool) -> dict[str, Any]:
    if isinstance(reply, ReplyError):
        return {"error": str(reply)}
    return {"result": _to_json(reply, encode=encode)}


def _to_json(reply: Reply, *, encode: bool) -> Any:
    if isinstance(reply, bytes):
        return b64encode(reply).decode() if encode else reply.decode(errors="replace")
    if isinstance(reply, list):
        return [_to_json(item, encode=encode) for item in reply]
    if isinstance(reply, ReplyError):
        return str(reply)
    return reply
