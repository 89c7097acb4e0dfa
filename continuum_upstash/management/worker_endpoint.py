"""The state of a worker for probes: a file, and an HTTP endpoint."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from django.http import HttpRequest

from continuum_upstash.health.views import metrics

# The main loop runs at least every five seconds, unless a call of the database takes longer.
_MAX_LOOP_SECONDS: Final = 60.0
_JSON: Final = "application/json"


def write_health_file(path: Path, status: dict[str, Any]) -> None:
    """Replace the file, which a reader therefore never sees half-written; errors are ignored.

    Its time of modification shows that the worker's process runs.
    """
    with suppress(OSError):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(status) + "\n", "utf-8")
        temporary.replace(path)


class WorkerEndpoint:
    """Serves /live/, /ready/ and /metrics/ in a thread.

    Args:
        address: ``host:port``; an empty host is 127.0.0.1.
        read_status: returns the state of the worker.

    Raises:
        OSError: the address cannot be used.
        ValueError: it has no port.
    """

    def __init__(self, address: str, read_status: Callable[[], dict[str, Any]]) -> None:
        host, _, port = address.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                status, kind, body = respond(self.path, read_status)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Log no requests."""

        self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def respond(path: str, read_status: Callable[[], dict[str, Any]]) -> tuple[int, str, bytes]:
    """Return the status, the content type and the body of a response."""
    name, status = path.partition("?")[0].strip("/"), read_status()
    if name == "metrics":
        response = metrics(HttpRequest())
        return response.status_code, str(response["Content-Type"]), response.content
    if name not in {"live", "ready"}:
        return 404, _JSON, b"{}"
    is_well = status["seconds_since_loop"] < _MAX_LOOP_SECONDS
    if name == "ready":
        is_well = is_well and status["state"] == "running"
    # The reason may contain the name of the host.
    public = {key: value for key, value in status.items() if key != "reason"}
    return 200 if is_well else 503, _JSON, json.dumps(public).encode()
