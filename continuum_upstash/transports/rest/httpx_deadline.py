"""One deadline over everything that httpx does on the network in one call.

httpx limits each read by itself: a server that sends one byte at a time would have no limit. Its
network layer, httpcore, can be replaced; httpx has no public option for that.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from continuum_upstash.transports.base import Deadline


class ThreadDeadline:
    """The deadline of the call that the current thread is making."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def apply(self, deadline: Deadline) -> Iterator[None]:
        outer = getattr(self._local, "deadline", None)  # a signal handler may use the cache
        self._local.deadline = deadline
        try:
            yield
        finally:
            self._local.deadline = outer

    def limit(self, timeout: float | None) -> float | None:
        """Return the shorter one of a timeout and what is left of the deadline.

        Raises:
            TimeoutError: nothing is left.
        """
        deadline: Deadline | None = getattr(self._local, "deadline", None)
        if deadline is None:
            return timeout
        left = deadline.get_remaining()
        return left if timeout is None else min(timeout, left)


def install_deadline(client: httpx.Client, deadline: ThreadDeadline) -> None:
    """Apply the deadline to all connections that the client will open."""
    backend = _DeadlineBackend(deadline)
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 no public name
        pool = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore.ConnectionPool):
            pool._network_backend = backend  # noqa: SLF001 no public name


class _DeadlineBackend(httpcore.SyncBackend):
    def __init__(self, deadline: ThreadDeadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore.NetworkStream:
        timeout = self._deadline.limit(timeout)
        stream = super().connect_tcp(host, port, timeout, *args, **options)
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: ThreadDeadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.limit(timeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._deadline.limit(timeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _DeadlineStream(stream, self._deadline)
