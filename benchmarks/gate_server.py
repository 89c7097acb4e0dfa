"""A minimal REST server for the gate, in Python, because CI need not have a C compiler.

    python -m benchmarks.gate_server PORT

It is slower than rest_server.c, but the gate compares only the CPU time of clients. It answers GET,
SET, SETEX and MGET in the forms of the service.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import unquote

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
store: dict[str, bytes] = {}


class Handler(StreamRequestHandler):
    """Serves the requests of one connection."""

    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            path = line.split()[1].decode().partition("?")[0]
            headers = dict(self.read_headers())
            body = self.rfile.read(int(headers.get(b"content-length", 0)))
            if path == "/pipeline":
                results = [run_command(command) for command in json.loads(body)]
            elif path == "/":
                results = [run_command(json.loads(body))]
            else:
                results = [run_command([*map(unquote, path[1:].split("/")), *filter(None, [body])])]
            content = self.encode(results, headers, is_pipeline=path == "/pipeline")
            self.wfile.write((HEAD % len(content)).encode() + content)

    def read_headers(self):
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip()

    def encode(self, results, headers, *, is_pipeline):
        if headers.get(b"upstash-response-format") == b"resp2":
            return encode_resp(results if is_pipeline else results[0])
        is_base64 = headers.get(b"upstash-encoding") == b"base64"
        bodies = [{"result": to_json(result, is_base64=is_base64)} for result in results]
        return json.dumps(bodies if is_pipeline else bodies[0]).encode()


def run_command(command):
    """Return a value, a list of values, or the text OK."""
    name, *arguments = command
    match name.upper():
        case "GET":
            return store.get(arguments[0])
        case "MGET":
            return [store.get(key) for key in arguments]
        case "SET":
            key, value = arguments[:2]
        case "SETEX" | "PSETEX":
            key, _, value = arguments
        case _:
            return "PONG"
    store[key] = value if isinstance(value, bytes) else value.encode()
    return "OK"


def encode_resp(result):
    match result:
        case None:
            return b"$-1\r\n"
        case str():
            return f"+{result}\r\n".encode()
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(result), result)
        case _:
            return b"*%d\r\n" % len(result) + b"".join(map(encode_resp, result))


def to_json(result, *, is_base64):
    if isinstance(result, list):
        return [to_json(each, is_base64=is_base64) for each in result]
    if isinstance(result, bytes):
        return b64encode(result).decode() if is_base64 else result.decode()
    return result


if __name__ == "__main__":
    ThreadingTCPServer.allow_reuse_address = ThreadingTCPServer.daemon_threads = True
    with ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.serve_forever()
