"""Opens the async connections with the options of a redis-py pool, and authenticates them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from redis import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool

from continuum_upstash.protocol import Command
from continuum_upstash.transports.redis.options import get_tls_context

ProtocolFactory: TypeAlias = Callable[[], asyncio.BaseProtocol]


class Connector:
    """Reads the options from a redis-py connection that is never opened: it has parsed the URL."""

    def __init__(self, pool: ConnectionPool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._template: Any = pool.connection_class(**pool.connection_kwargs)

    async def connect(self, make_protocol: ProtocolFactory) -> None:
        """Open a connection for a new protocol object.

        Raises:
            OSError: the last address that was tried failed; each has the whole timeout.
            RedisError: the Sentinels know no primary.
        """
        if isinstance(self._template, UnixDomainSocketConnection):
            async with asyncio.timeout(self._timeout):
                loop = asyncio.get_running_loop()
                await loop.create_unix_connection(make_protocol, self._template.path)
        else:
            await self._connect_to_host(*await self._find_server(), make_protocol)

    async def _connect_to_host(self, host: str, port: int, make_protocol: ProtocolFactory) -> None:
        async with asyncio.timeout(self._timeout):
            loop = asyncio.get_running_loop()
            addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # asyncio's own race of addresses leaks a socket if it is cancelled when one succeeds.
        failure: OSError = socket.gaierror(f"{host} has no address")
        for *_, address in addresses:
            try:
                await self._connect_to_address(address, host, make_protocol)
            except OSError as error:
                failure = error
            else:
                return
        raise failure

    async def _connect_to_address(
        self, address: tuple[Any, ...], host: str, make_protocol: ProtocolFactory
    ) -> None:
        secure = isinstance(self._template, SSLConnection)
        async with asyncio.timeout(self._timeout):
            transport, _ = await asyncio.get_running_loop().create_connection(
                make_protocol,
                *address[:2],
                ssl=get_tls_context(self._template) if secure else None,
                server_hostname=host if secure else None,
            )
        self._set_keepalive(transport.get_extra_info("socket"))

    async def _find_server(self) -> tuple[str, int]:
        if isinstance(self._pool, SentinelConnectionPool):
            # The pool queries the Sentinels over blocking sockets.
            host, port = await asyncio.to_thread(self._pool.get_master_address)
            return host, port
        return self._template.host, self._template.port

    def _set_keepalive(self, sock: socket.socket) -> None:
        if self._template.socket_keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in self._template.socket_keepalive_options.items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)

    async def list_handshake_commands(self) -> list[Command]:
        """Return the first commands of a new connection: usually AUTH; may be empty."""
        commands: list[Command] = []
        if self._template.credential_provider is not None:
            commands.append(
                ("AUTH", *await self._template.credential_provider.get_credentials_async())
            )
        elif self._template.username:
            commands.append(("AUTH", self._template.username, self._template.password or ""))
        elif self._template.password:
            commands.append(("AUTH", self._template.password))
        if self._template.client_name:
            commands.append(("CLIENT", "SETNAME", self._template.client_name))
        if self._template.db:
            commands.append(("SELECT", int(self._template.db)))
        return commands
