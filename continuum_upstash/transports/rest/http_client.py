"""The HTTP clients of the REST transport: over our own sockets, or httpx where those cannot work.

The socket clients connect to the host directly. httpx replaces them behind an HTTP proxy, and
where Python has no sockets (in a browser, or on some edge platforms).
"""

from __future__ import annotations

import sys
from typing import Protocol

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.rest.http11 import HttpResponse, RequestEncoder
from continuum_upstash.transports.rest.requests import Request


class HttpClient(Protocol):
    """Exchanges requests for responses; any number of threads may use it."""

    def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> HttpResponse:
        """Send the request for a batch and return its response.

        Raises:
            ConnectionFailed: no connection could be opened, or it was lost.
            DeadlineExceeded: the response was not complete in time.
            RequestTooLarge: the response exceeds MAX_RESPONSE_BYTES.
        """
        ...

    def close(self) -> None: ...


class AsyncHttpClient(Protocol):
    """The async counterpart of HttpClient; it belongs to one event loop."""

    async def exchange(
        self, request: Request, sync_token: bytes | None, batch: Batch
    ) -> HttpResponse: ...

    async def aclose(self) -> None: ...


def import_client(config: Config) -> None:
    if can_use_sockets(config):
        from continuum_upstash.transports.rest import socket_client  # noqa: F401, PLC0415 as below
    else:
        from continuum_upstash.transports.rest import httpx_client  # noqa: F401, PLC0415 as below


def make_http_client(config: Config, encoder: RequestEncoder) -> HttpClient:
    if can_use_sockets(config):
        from continuum_upstash.transports.rest import socket_client  # noqa: PLC0415 as below

        return socket_client.SocketHttpClient(config, encoder)
    from continuum_upstash.transports.rest import httpx_client  # noqa: PLC0415 httpx takes 50 ms

    return httpx_client.HttpxClient(config, encoder)


def make_async_http_client(config: Config, encoder: RequestEncoder) -> AsyncHttpClient:
    if can_use_sockets(config):
        from continuum_upstash.transports.rest import async_socket_client  # noqa: PLC0415 asyncio

        return async_socket_client.AsyncSocketHttpClient(config, encoder)
    from continuum_upstash.transports.rest import httpx_client  # noqa: PLC0415 as above

    return httpx_client.AsyncHttpxClient(config, encoder)


def can_use_sockets(config: Config) -> bool:
    """Return whether this platform has sockets, and no proxy is set for the database's host."""
    return sys.platform not in {"emscripten", "wasi"} and config.proxy is None
