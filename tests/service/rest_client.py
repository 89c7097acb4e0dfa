"""The REST API by the standard library alone: shares no code with the package."""

from __future__ import annotations

import http.client
import json
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tests.service.counter import CommandCounter
from tests.service.expectations import ErrorReply

TIMEOUT: Final = 8.0  # seconds
TIMEOUT_AFTER_FAILURES: Final = 1.0  # seconds; a database that is gone costs little time
_SHOWN: Final = 400  # characters of a body in the report
_MAX_FAILURES: Final = 2  # in a row


class NoConnection(Exception):
    """There was no HTTP response."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RestClient:
    """One kept connection to the REST API.

    Attributes:
        counter: of the current test.
        sync_token: of the last response; it is sent with the next request, so that a replica
            returns what the test has written.
        exchanges: the last requests and responses, for the report; without headers that hold a
            token.
    """

    def __init__(
        self, url: str, token: str, counter: CommandCounter, timeout: float = TIMEOUT
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._is_secure, self._path = parts.scheme == "https", parts.path.rstrip("/")
        self._token, self._timeout = token, timeout
        self._connection: http.client.HTTPConnection | None = None
        self._failures = 0
        self.counter = counter
        self.sync_token = ""
        self.exchanges: deque[dict[str, Any]] = deque(maxlen=6)

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        commands: int = 1,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Response:
        """Send one request.

        Args:
            method: GET, POST …
            target: path and query, as they are sent.
            body: of the request.
            commands: how many it bills.
            headers: to be added.
            token: in place of the target's; empty: no Authorization header.

        Raises:
            NoConnection: there was no response.
        """
        self.counter.add(commands)
        all_headers = dict(headers or {})
        if self.sync_token:
            all_headers.setdefault("Upstash-Sync-Token", self.sync_token)
        token = self._token if token is None else token
        if token:
            all_headers["Authorization"] = f"Bearer {token}"
        response = self._exchange(method, self._path + target, body, all_headers)
        self.exchanges.append(_describe(method, target, body, headers or {}, response))
        self.sync_token = response.headers.get("upstash-sync-token", "")
        return response

    def post_json(self, target: str, document: Any, **headers: str) -> Response:
        """Send JSON; underscores in the names of headers are hyphens.

        The body is a command, or several for /pipeline and /multi-exec.
        """
        commands = [document] if target == "/" else document
        body = json.dumps(document, ensure_ascii=False).encode()
        names = {"Content-Type": "application/json"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.counter.add_commands(commands)
        return self.send("POST", target, body, commands=0, headers=names)

    def call(self, *words: str | int) -> Any:
        """Send one command as plain JSON; return its result or an ErrorReply."""
        return read_entry(self.post_json("/", list(words)).json)

    def pipeline(self, *commands: Sequence[str | int], target: str = "/pipeline") -> list[Any]:
        """Send commands as plain JSON; return a result or an ErrorReply for each."""
        document = self.post_json(target, [list(command) for command in commands]).json
        assert isinstance(document, list), document
        return [read_entry(entry) for entry in document]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        for attempt in ("kept", "new"):
            is_kept = self._connection is not None
            try:
                response = self._exchange_once(method, target, body, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A kept connection may have been closed by the server since its last use.
                if is_kept and attempt == "kept" and not isinstance(error, TimeoutError):
                    continue
                self._failures += 1
                raise NoConnection(f"{type(error).__name__}: {error}") from None
            self._failures = 0
            return response
        raise AssertionError

    def _exchange_once(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body)
        response = self._connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        result = Response(response.status, names, response.read())
        if response.will_close:
            self.close()
        return result

    def _connect(self) -> http.client.HTTPConnection:
        timeout = self._timeout if self._failures < _MAX_FAILURES else TIMEOUT_AFTER_FAILURES
        if self._is_secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)


def read_entry(entry: Any) -> Any:
    """Return the result of a JSON object, or an ErrorReply."""
    if not isinstance(entry, dict) or entry.keys() not in ({"result"}, {"error"}):
        raise AssertionError(f"the service returned {entry!r}, which has no result and no error")
    return ErrorReply(entry["error"]) if "error" in entry else entry["result"]


def _describe(
    method: str, target: str, body: bytes, headers: Mapping[str, str], response: Response
) -> dict[str, Any]:
    return {
        "request": f"{method} {_shorten(target)}",
        "headers": dict(headers),
        "body": _shorten(body.decode(errors="backslashreplace")),
        "status": response.status,
        "response_headers": dict(response.headers),
        "response": _shorten(response.body.decode(errors="backslashreplace")),
    }


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
