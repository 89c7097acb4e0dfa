"""HTTP/1.1 as bytes, without any I/O: requests to one database, and the responses to them.

httptools parses the responses. This module does not interpret what a request or a response says.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import httptools

from continuum_upstash import __version__
from continuum_upstash.config.resolve import Config
from continuum_upstash.config.urls import remove_root_dot, split_url
from continuum_upstash.errors import (
    ConfigurationError,
    ConnectionFailed,
    ReplyError,
    RequestTooLarge,
    Unavailable,
)
from continuum_upstash.transports.rest.requests import Request, RequestKind
from continuum_upstash.transports.service_errors import make_reply_error

MAX_RESPONSE_BYTES: Final = 256 * 1024 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
# An idle connection older than this may have been dropped by the network without notice.
MAX_IDLE_SECONDS: Final = 55.0

# zlib's window bits for gzip, and for deflate, which some servers send without zlib's header.
_WINDOW_BITS: Final[dict[str, tuple[int, ...]]] = {
    "gzip": (31,),
    "x-gzip": (31,),
    "deflate": (15, -15),
}

_JSON: Final = "Content-Type: application/json\r\n"
_BINARY: Final = "Content-Type: application/octet-stream\r\n"
_RESP2: Final = "Upstash-Response-Format: resp2\r\n"
_BASE64: Final = "Upstash-Encoding: base64\r\n"
_KIND_HEADERS: Final[dict[RequestKind, str]] = {
    "command": _JSON + _RESP2,
    "encoded": _JSON + _BASE64,
    "value": _BINARY + _RESP2,
    "batch": _JSON + _BASE64,
    "events": _JSON + "Accept: text/event-stream\r\nCache-Control: no-cache\r\n",
}


class RequestEncoder:
    """Encodes requests to the REST API of one database.

    Attributes:
        url: what every request's URL begins with, without a trailing slash.
        host, port, secure: where to connect, and whether with TLS.
        server_name: the host as its certificate and the header Host contain it.
        label: how messages name the database.
    """

    def __init__(self, config: Config) -> None:
        if config.rest_url is None or config.token is None:
            raise ConfigurationError(f"{config.label} has no REST URL and token.")
        parts = split_url(config.rest_url)
        if parts is None or not parts.hostname:
            raise ConfigurationError(f"The REST URL of {config.label} has no valid host and port.")
        self.host = parts.hostname
        self.server_name = remove_root_dot(parts.hostname)
        self.secure = parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        self.label = config.label
        self._path_prefix = parts.path
        authority = _make_authority(self.server_name, parts.port)
        self.url = f"{parts.scheme}://{authority}{parts.path}"
        self._common = _make_common_headers(authority, config.telemetry)
        self._token = ""
        self._heads: dict[RequestKind, memoryview] = {}
        if config.token.is_fixed:
            self.use_token(config.token.reveal())

    def use_token(self, token: str) -> bool:
        """Use a token from now on; return whether it differs from the one before."""
        if token == self._token:
            return False
        # Replaced as a whole: other threads encode requests meanwhile.
        self._heads = {
            kind: _hide(f"{self._common}Authorization: Bearer {token}\r\n{own}Content-Length: ")
            for kind, own in _KIND_HEADERS.items()
        }
        self._token = token
        return True

    def encode(self, request: Request, sync_token: bytes | None) -> bytes:
        """Return the whole HTTP request."""
        kind, target, body = request
        line = b"" if sync_token is None else b"Upstash-Sync-Token: %b\r\n" % sync_token
        path = (self._path_prefix + target).encode()
        head = self._heads[kind]
        length = b"%d\r\n\r\n" % len(body)
        parts = (b"POST ", path, b" HTTP/1.1\r\n", line, head, length, body)
        return b"".join(parts)

    def headers(self, kind: RequestKind) -> list[tuple[str, str]]:
        """Return the headers for a client that encodes its own requests, without the token."""
        lines = (self._common + _KIND_HEADERS[kind]).split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:-1])  # not Host
        return [(name, value) for name, _, value in pairs]

    def make_error(self, text: str) -> ReplyError:
        """Return the error for a server's error text, which may repeat the token."""
        return make_reply_error(text, (self._token,) if self._token else ())

    @property
    def authorization(self) -> str:
        """The value of the header Authorization."""
        return f"Bearer {self._token}"


def _hide(text: str) -> memoryview:
    return memoryview(text.encode())


def _make_authority(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    return name if port is None else f"{name}:{port}"


def _make_common_headers(authority: str, telemetry: bool) -> str:
    lines = {
        "Host": authority,
        "User-Agent": f"continuum-upstash/{__version__}",
        "Accept-Encoding": "identity",
    }
    if telemetry:
        import platform  # noqa: PLC0415 clients start faster without it

        lines["Upstash-Telemetry-Sdk"] = f"continuum-upstash@v{__version__}"
        lines["Upstash-Telemetry-Runtime"] = f"python@v{platform.python_version()}"
        lines["Upstash-Telemetry-Platform"] = _detect_platform()
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items())


def _detect_platform() -> str:
    """Return one of the names that Upstash's own SDKs send."""
    if "VERCEL" in os.environ:
        return "vercel"
    return "aws" if "AWS_REGION" in os.environ else "unknown"


class HttpResponse(NamedTuple):
    """A complete HTTP response.

    Attributes:
        headers: by lower-case name; the last one of equal names.
        reusable: whether its connection may carry another request.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    reusable: bool


class ResponseParser:
    """Parses the responses that one connection receives, in pieces of any size."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        # httptools looks its callbacks up once; methods of builtins are the fastest.
        self.on_header = self._headers.__setitem__
        self.on_body = self._parts.append
        self._received = 0
        self._in_body = False
        self._has_extra_data = False
        self._response: HttpResponse | None = None
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> HttpResponse | None:
        """Parse received bytes; return the response once it is complete.

        Raises:
            ConnectionFailed: this is not HTTP/1.1.
            RequestTooLarge: the response exceeds MAX_RESPONSE_BYTES.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # An exception that a signal handler raised while a method of this class ran.
            raise (error.__context__ or error) from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._response is None:
                raise ConnectionFailed(
                    f"{self._label}: the response is not HTTP/1.1 ({type(error).__name__}). "
                    "Check that the URL is the database's REST URL."
                ) from error
            self._has_extra_data = True
        response = self._response
        if response is None:
            self._check_size(len(data))
            return None
        self._response, self._received = None, 0
        return response._replace(reusable=False) if self._has_extra_data else response

    def feed_eof(self) -> HttpResponse | None:
        """Return the response if the end of the connection completes it."""
        if not self._in_body or self._has_length():
            return None
        self._received = 0
        headers = {name.lower(): value for name, value in self._headers.items()}
        status = self._parser.get_status_code()
        return HttpResponse(status, headers, b"".join(self._parts), reusable=False)

    def on_message_begin(self) -> None:
        self._has_extra_data = self._response is not None

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_message_complete(self) -> None:
        self._in_body = False
        status = self._parser.get_status_code()
        if status >= 200 and self._response is None:
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            reusable = self._parser.should_keep_alive()
            headers = {name.lower(): value for name, value in self._headers.items()}
            self._response = HttpResponse(status, headers, body, reusable)
        self._headers.clear()
        self._parts.clear()

    def _has_length(self) -> bool:
        names = {name.lower() for name in self._headers}
        return b"content-length" in names or b"transfer-encoding" in names

    def _check_size(self, size: int) -> None:
        self._received += size
        if self._received > MAX_HEAD_BYTES and not self._in_body:
            raise ConnectionFailed(
                f"{self._label}: the response's headers exceed {MAX_HEAD_BYTES >> 10} KB."
            )
        check_response_size(self._received, self._label)


def decompress(response: HttpResponse, label: str) -> HttpResponse:
    """Return a response with its body decompressed; some proxies compress it unrequested.

    Raises:
        Unavailable: the encoding is not supported, or the body is not encoded so.
        RequestTooLarge: the decompressed body exceeds MAX_RESPONSE_BYTES.
    """
    encoding = response.headers[b"content-encoding"].decode("latin-1").strip().lower()
    if encoding in {"", "identity"}:
        return response
    if encoding not in _WINDOW_BITS:
        raise Unavailable(
            f"{label}: the response has the Content-Encoding {encoding[:40]!r}, which is not "
            "supported. Configure the proxy not to compress responses."
        )
    import zlib  # noqa: PLC0415 the REST API does not compress

    for window_bits in _WINDOW_BITS[encoding]:
        decoder = zlib.decompressobj(window_bits)
        try:
            body = decoder.decompress(response.body, MAX_RESPONSE_BYTES + 1)
        except zlib.error:
            continue
        check_response_size(len(body), label)
        if decoder.eof and not decoder.unused_data:
            return response._replace(body=body)
    raise Unavailable(
        f"{label}: malformed response: its Content-Encoding is {encoding}, its body is not."
    )


def check_response_size(size: int, label: str) -> None:
    """Raise RequestTooLarge for a response of more than MAX_RESPONSE_BYTES."""
    if size > MAX_RESPONSE_BYTES:
        raise RequestTooLarge(
            f"{label}: a response exceeds {MAX_RESPONSE_BYTES >> 20} MB. "
            "Read fewer or smaller values at once."
        )
