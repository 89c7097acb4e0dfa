"""HTTP/1.1 as bytes, without any I/O: requests to one database, and the answers of a connection.

httptools parses the answers. Nothing here knows what a request asks for or an answer says.
"""

from __future__ import annotations

import os
import platform
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httptools

from continuum_upstash import __version__
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError, ConnectionFailed, RequestTooLarge
from continuum_upstash.transports.rest.requests import Form, Request

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024

_JSON: Final = "Content-Type: application/json\r\n"
_BINARY: Final = "Content-Type: application/octet-stream\r\n"
_RESP2: Final = "Upstash-Response-Format: resp2\r\n"
_BASE64: Final = "Upstash-Encoding: base64\r\n"
_FORM_HEADERS: Final[dict[Form, str]] = {
    "command": _JSON + _RESP2,
    "value": _BINARY + _RESP2,
    "batch": _JSON + _BASE64,
}


class Endpoint:
    """Where the REST API of a database is, and what a request to it looks like.

    Attributes:
        url: the base of every request, without a trailing slash.
        host, port, secure: where to connect, and whether with TLS.
        label: how messages name the database.
    """

    def __init__(self, config: Config) -> None:
        if config.rest_url is None or config.token is None:
            raise ConfigurationError(f"{config.label} has no REST URL and token.")
        parts = urlsplit(config.rest_url)
        self.url = config.rest_url
        self.host = parts.hostname or ""
        self.secure = parts.scheme == "https"
        self.label = config.label
        self._prefix = parts.path
        self._token = config.token
        try:
            self.port = parts.port or (443 if self.secure else 80)
            host = parts.netloc.rpartition("@")[2].encode("idna").decode()
        except ValueError as error:
            raise ConfigurationError(
                f"The REST URL of {config.label} has no valid host and port."
            ) from error
        self._common = _common_headers(host, config.telemetry)
        self._rendered: tuple[str, dict[Form, bytes]] = ("", {})

    def render(self, request: Request, sync_token: bytes | None) -> bytes:
        """Return the whole request; the head is made once per token."""
        form, target, body, _ = request
        line = b"" if sync_token is None else b"Upstash-Sync-Token: %b\r\n" % sync_token
        path = (self._prefix + target).encode()
        head = self._heads()[form]
        return b"POST %b HTTP/1.1\r\n%b%b%d\r\n\r\n%b" % (path, line, head, len(body), body)

    def headers(self, form: Form) -> list[tuple[str, str]]:
        """Return the headers for a client that writes its own requests."""
        lines = self._heads()[form].decode().split("\r\n")[1:-1]  # neither Host nor Content-Length
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

    def _heads(self) -> dict[Form, bytes]:
        token = self._token.reveal()  # asked each time: it may rotate
        known, heads = self._rendered
        if token == known:
            return heads
        if not token.isascii() or not token.isprintable():
            raise ConfigurationError(f"The token of {self.label} is not printable ASCII text.")
        heads = {
            form: f"{self._common}Authorization: Bearer {token}\r\n{own}Content-Length: ".encode()
            for form, own in _FORM_HEADERS.items()
        }
        self._rendered = (token, heads)
        return heads


def _common_headers(host: str, telemetry: bool) -> str:
    lines = {"Host": host, "User-Agent": f"continuum-upstash/{__version__}"}
    if telemetry:
        lines["Upstash-Telemetry-Sdk"] = f"continuum-upstash@v{__version__}"
        lines["Upstash-Telemetry-Runtime"] = f"python@v{platform.python_version()}"
        lines["Upstash-Telemetry-Platform"] = _platform()
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items())


def _platform() -> str:
    """Return one of the names that Upstash's own SDKs send."""
    if "VERCEL" in os.environ:
        return "vercel"
    return "aws" if "AWS_REGION" in os.environ else "unknown"


class Answer(NamedTuple):
    """A complete HTTP response.

    Attributes:
        headers: by lower-case name; of equal names the last.
        reusable: whether the connection may carry another request.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    reusable: bool


class AnswerReader:
    """Finds the answers in what one connection receives, however it was cut."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        # The parser looks its callbacks up once: methods of builtins are the quickest ones.
        self.on_header = self._headers.__setitem__
        self.on_body = self._parts.append
        self._received = 0
        self._in_body = False
        self._surplus = False
        self._answer: Answer | None = None
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> Answer | None:
        """Take what arrived; return the answer once it is complete.

        Raises:
            ConnectionFailed: this is not HTTP/1.1.
            RequestTooLarge: the answer exceeds what one reply may take in memory.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._answer is None:
                raise ConnectionFailed(
                    f"{self._label}: the answer is not HTTP/1.1 ({type(error).__name__}). "
                    "Is the URL that of the REST API?"
                ) from error
            self._surplus = True
        if self._answer is None:
            self._check_size(len(data))
            return None
        return self._finish()

    def end(self) -> Answer | None:
        """Return the answer that the end of the connection completes, if it does."""
        if not self._in_body or self._lengths():
            return None
        self._answer = Answer(*self._head(), b"".join(self._parts), reusable=False)
        return self._finish()

    def on_message_begin(self) -> None:
        self._surplus = self._answer is not None

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_message_complete(self) -> None:
        self._in_body = False
        status, headers = self._head()
        if status >= 200 and self._answer is None:
            body = b"".join(self._parts)
            self._answer = Answer(status, headers, body, self._parser.should_keep_alive())
        self._headers.clear()
        self._parts.clear()

    def _head(self) -> tuple[int, dict[bytes, bytes]]:
        headers = {name.lower(): value for name, value in self._headers.items()}
        return self._parser.get_status_code(), headers

    def _lengths(self) -> bool:
        names = {name.lower() for name in self._headers}
        return b"content-length" in names or b"transfer-encoding" in names

    def _finish(self) -> Answer:
        answer, self._answer, self._received = self._answer, None, 0
        assert answer is not None
        return answer._replace(reusable=False) if self._surplus else answer

    def _check_size(self, size: int) -> None:
        self._received += size
        if self._received > MAX_HEAD_BYTES and not self._in_body:
            raise ConnectionFailed(f"{self._label}: the answer's headers never end.")
        if self._received > MAX_ANSWER_BYTES:
            raise RequestTooLarge(
                f"{self._label}: a reply exceeds {MAX_ANSWER_BYTES >> 20} MB. Ask for less at once."
            )
