"""The part of Lambda's Runtime API that a function needs, and a function that runs on it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

API = "/2018-06-01/runtime/"


class Server(ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Ignore that the function, which waits for an event, was killed."""


class RuntimeApi:
    """Gives events to a function, and receives its responses."""

    def __init__(self) -> None:
        self._events: Queue[Any] = Queue()
        self._results: Queue[tuple[str, Any]] = Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == f"{API}invocation/next"
                self._respond(200, json.dumps(api._events.get()).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._respond(202, b"")
                api._results.put((self.path.rpartition("/")[2], json.loads(body or b"null")))

            def _respond(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
                self.send_header("Lambda-Runtime-Deadline-Ms", "4000000000000")
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::mysite")
                self.send_header("Lambda-Runtime-Trace-Id", "Root=1")  # without it, it crashes
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def invoke(self, event: Any) -> Any:
        """Return the function's response to an event."""
        self._events.put(event)
        kind, result = self._results.get(timeout=20)
        assert kind == "response", result
        return result

    def stop(self) -> None:
        self._events.put(None)  # ends the request that waits for an event
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def run_function(
    folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[RuntimeApi, subprocess.Popen[bytes]]]:
    """Run handler.handler of a folder under AWS' runtime client."""
    api = RuntimeApi()
    variables = {
        **environment,
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "mysite",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "LAMBDA_TASK_ROOT": str(folder),
    }
    command = [sys.executable, "-m", "awslambdaric", "handler.handler"]
    process = subprocess.Popen(command, cwd=folder, env=variables)
    try:
        yield api, process
    finally:
        process.kill()
        process.wait()
        api.stop()
