"""What carries requests: our own wire, or httpx where that cannot reach the database.

Our wire speaks to the host itself. Behind an HTTP proxy, and where Python has no sockets, as in
a browser or on some edge platforms, httpx takes its place.
"""

from __future__ import annotations

import os
import sys
from typing import Protocol

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.rest.http11 import Answer, Endpoint
from continuum_upstash.transports.rest.requests import Request


class Sender(Protocol):
    """Safe for any number of threads."""

    def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> Answer:
        """Send `request`, which carries `batch`, and return its answer.

        Raises:
            ConnectionFailed: there was no connection, or it broke.
            DeadlineExceeded: the answer was not complete in time.
            RequestTooLarge: the answer exceeds what one may be.
        """
        ...

    def close(self) -> None: ...


class AsyncSender(Protocol):
    """The twin of `Sender` for the tasks of one event loop."""

    async def exchange(
        self, request: Request, sync_token: bytes | None, batch: Batch
    ) -> Answer: ...

    async def aclose(self) -> None: ...


def sender_for(config: Config, endpoint: Endpoint) -> Sender:
    if reachable_by_sockets(endpoint):
        from continuum_upstash.transports.rest.connection_pool import Sockets  # noqa: PLC0415 as below

        return Sockets(config, endpoint)
    from continuum_upstash.transports.rest.httpx_client import Proxied  # noqa: PLC0415 httpx costs 50 ms

    return Proxied(config, endpoint)


def async_sender_for(config: Config, endpoint: Endpoint) -> AsyncSender:
    if reachable_by_sockets(endpoint):
        from continuum_upstash.transports.rest.async_connection_pool import AsyncSockets  # noqa: PLC0415 as above

        return AsyncSockets(config, endpoint)
    from continuum_upstash.transports.rest.httpx_client import AsyncProxied  # noqa: PLC0415 as above

    return AsyncProxied(config, endpoint)


def reachable_by_sockets(endpoint: Endpoint) -> bool:
    """Return whether this platform has sockets and names no proxy for the endpoint's host."""
    if sys.platform in {"emscripten", "wasi"}:
        return False
    names_proxies = any(name.lower().endswith("_proxy") for name in os.environ)
    if not names_proxies and sys.platform not in {"darwin", "win32"}:
        return True  # without urllib, which would double the time that our import takes
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 as the line before says

    scheme = "https" if endpoint.secure else "http"
    proxies = getproxies()
    return not (proxies.get(scheme) or proxies.get("all")) or bool(proxy_bypass(endpoint.host))
