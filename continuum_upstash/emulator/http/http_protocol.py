"""uvicorn's HTTP protocol with a bound on the head of a request, and errors in JSON."""

import re
from typing import Final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from continuum_upstash.emulator.http.response_encoder import encode_error

MAX_HEAD_BYTES: Final = 64 * 1024  # the request line and the headers
HEAD_TOO_LARGE: Final = f"the request line and the headers exceed {MAX_HEAD_BYTES} bytes"
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")


class HttpProtocol(HttpToolsProtocol):
    """Rejects headers that never end; `RestApi` rejects complete headers that are too long."""

    _head_bytes = 0
    _is_head_complete = False

    def data_received(self, data: bytes) -> None:
        if not self._is_head_complete:
            if not self._head_bytes:
                data = _quote_request_line(data)
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._is_head_complete and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._is_head_complete = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_head_complete, self._head_bytes = False, 0

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", msg)

    def _refuse(self, status: bytes, text: str) -> None:
        body = encode_error(f"ERR {text}")
        self.transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (status, len(body), body)
        )
        self.transport.close()


def measure_head(scope: Scope) -> int:
    """Return the bytes of the path, the query and the headers."""
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["raw_path"]) + len(scope["query_string"]) + headers


def _quote_request_line(data: bytes) -> bytes:
    """Percent-encode bytes beyond ASCII, which the service accepts and httptools does not."""
    line, end, rest = data.partition(b"\r\n")
    if line.isascii():
        return data
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], line) + end + rest
