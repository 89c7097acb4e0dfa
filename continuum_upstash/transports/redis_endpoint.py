"""Where an async connection goes and how it introduces itself: as a pool's connections would."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from redis import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool

from continuum_upstash.effects import Command
from continuum_upstash.transports.redis_options import tls_context

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Endpoint:
    """Reads a sync connection that was never opened: it has parsed the URL and the options.

    Attributes:
        connect_timeout: seconds.
    """

    def __init__(self, pool: ConnectionPool, connect_timeout: float) -> None:
        self._pool = pool
        self._sample: Any = pool.connection_class(**pool.connection_kwargs)
        self.connect_timeout = float(self._sample.socket_connect_timeout or connect_timeout)

    async def connect(self, protocol: Callable[[], P]) -> P:
        """Raises OSError, or redis-py's ConnectionError where Sentinels know no master."""
        loop = asyncio.get_running_loop()
        if isinstance(self._sample, UnixDomainSocketConnection):
            _, connected = await loop.create_unix_connection(protocol, self._sample.path)
            return connected
        host, port = await self._address()
        context = tls_context(self._sample) if isinstance(self._sample, SSLConnection) else None
        transport, connected = await loop.create_connection(
            protocol, host, port, ssl=context, happy_eyeballs_delay=0.25
        )
        self._keep_alive(transport.get_extra_info("socket"))
        return connected

    async def _address(self) -> tuple[str, int]:
        if isinstance(self._pool, SentinelConnectionPool):
            # The pool asks the Sentinels with blocking sockets.
            host, port = await asyncio.to_thread(self._pool.get_master_address)
            return host, port
        return self._sample.host, self._sample.port

    def _keep_alive(self, connected: socket.socket) -> None:
        if self._sample.socket_keepalive:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in self._sample.socket_keepalive_options.items():
                connected.setsockopt(socket.IPPROTO_TCP, option, value)

    async def greeting(self) -> list[Command]:
        """Return the commands that come first on a new connection; often AUTH, at times none."""
        commands: list[Command] = []
        if self._sample.credential_provider is not None:
            commands.append(
                ("AUTH", *await self._sample.credential_provider.get_credentials_async())
            )
        elif self._sample.username:
            commands.append(("AUTH", self._sample.username, self._sample.password or ""))
        elif self._sample.password:
            commands.append(("AUTH", self._sample.password))
        if self._sample.client_name:
            commands.append(("CLIENT", "SETNAME", self._sample.client_name))
        if self._sample.db:
            commands.append(("SELECT", int(self._sample.db)))
        return commands
