"""Where an async connection goes and how it introduces itself: as a pool's connections would."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from redis import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool

from continuum_upstash.protocol import Command
from continuum_upstash.transports.redis.options import tls_context

Protocols: TypeAlias = Callable[[], asyncio.BaseProtocol]


class Endpoint:
    """Reads a sync connection that was never opened: it has parsed the URL and the options."""

    def __init__(self, pool: ConnectionPool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._sample: Any = pool.connection_class(**pool.connection_kwargs)

    async def connect(self, protocol: Protocols) -> None:
        """Connect a new protocol.

        Raises:
            OSError: of the last address that was tried; each has the time-out to itself.
            RedisError: the Sentinels know no primary.
        """
        if isinstance(self._sample, UnixDomainSocketConnection):
            async with asyncio.timeout(self._timeout):
                loop = asyncio.get_running_loop()
                await loop.create_unix_connection(protocol, self._sample.path)
        else:
            await self._connect_to_one(*await self._name(), protocol)

    async def _connect_to_one(self, host: str, port: int, protocol: Protocols) -> None:
        async with asyncio.timeout(self._timeout):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # asyncio's own race of addresses loses a socket if it is cancelled as one wins.
        failure: OSError = socket.gaierror(f"{host} has no address")
        for *_, address in found:
            try:
                await self._connect_to(address, host, protocol)
            except OSError as error:
                failure = error
            else:
                return
        raise failure

    async def _connect_to(self, address: tuple[Any, ...], name: str, protocol: Protocols) -> None:
        secure = isinstance(self._sample, SSLConnection)
        async with asyncio.timeout(self._timeout):
            transport, _ = await asyncio.get_running_loop().create_connection(
                protocol,
                *address[:2],
                ssl=tls_context(self._sample) if secure else None,
                server_hostname=name if secure else None,
            )
        self._keep_alive(transport.get_extra_info("socket"))

    async def _name(self) -> tuple[str, int]:
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
