"""Opens the async connections with the options of a redis-py pool, and authenticates them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from redis import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool

from continuum_upstash.config.urls import remove_root_dot
from continuum_upstash.errors import ConnectionFailed, ContinuumError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command
from continuum_upstash.transports.async_sockets import DeadlineScope, connect_socket
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.redis import resp2
from continuum_upstash.transports.redis.options import get_tls_context

ProtocolFactory: TypeAlias = Callable[[], asyncio.BaseProtocol]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The arguments of AUTH, which tracebacks do not show."""

    arguments: tuple[str, ...] = field(repr=False)


class Handshake(NamedTuple):
    """The first commands of a connection.

    Attributes:
        message: their bytes, as an object that tracebacks do not show.
        replies: how many replies there will be.
    """

    message: memoryview
    replies: int


class Connector:
    """Reads the options from a redis-py connection that is never opened: it has parsed the URL."""

    def __init__(self, pool: ConnectionPool, label: str, timeout: float) -> None:
        self._pool = pool
        self._label = label
        self._timeout = timeout
        self._template: Any = pool.connection_class(**pool.connection_kwargs)

    async def connect(self, make_protocol: ProtocolFactory) -> None:
        """Open a connection for a new protocol object.

        Raises:
            OSError: the last address failed, or the time was up.
            RedisError: the Sentinels know no primary.
        """
        loop, template = asyncio.get_running_loop(), self._template
        if isinstance(template, UnixDomainSocketConnection):
            async with DeadlineScope(loop.time() + self._timeout):
                await loop.create_unix_connection(make_protocol, template.path)
            return
        host, port = await self._find_server()
        family = getattr(template, "socket_type", 0)
        secure = isinstance(template, SSLConnection)
        deadline = Deadline(self._timeout, clock=loop.time)
        async with DeadlineScope(deadline.at):
            configure = partial(set_keepalive, template)
            sock = await connect_socket(host, port, deadline, configure, family)
            await loop.create_connection(
                make_protocol,
                sock=sock,
                ssl=get_tls_context(template) if secure else None,
                server_hostname=remove_root_dot(host) if secure else None,
            )

    async def _find_server(self) -> tuple[str, int]:
        if isinstance(self._pool, SentinelConnectionPool):
            # The pool queries the Sentinels over blocking sockets.
            host, port = await asyncio.to_thread(self._pool.get_master_address)
            return host, port
        return self._template.host, self._template.port

    async def read_credentials(self) -> Credentials | None:
        """Return those of the credential provider, if there is one.

        Raises:
            ConnectionFailed: the credential provider failed.
        """
        provider = self._template.credential_provider
        if provider is None:
            return None
        try:
            return Credentials(tuple(await provider.get_credentials_async()))
        except Exception as error:
            raise credentials_error(error, self._label) from error

    def make_handshake(self, credentials: Credentials | None) -> Handshake | None:
        """Return the first commands of a new connection: usually AUTH; None if there are none."""
        return make_handshake(self._template, credentials)

    def list_secrets(self, credentials: Credentials | None) -> tuple[str, ...]:
        """Return the passwords, which a server may repeat in the text of an error."""
        return list_secrets(self._template, credentials)


def make_handshake(template: Any, credentials: Credentials | None) -> Handshake | None:
    """Return the first commands of a new connection, or None if there are none.

    Args:
        template: a redis-py connection, for its options.
        credentials: those of its credential provider, if it has one.
    """
    commands: list[Command] = []
    if credentials is not None:
        commands.append(("AUTH", *credentials.arguments))
    elif template.username:
        commands.append(("AUTH", template.username, template.password or ""))
    elif template.password:
        commands.append(("AUTH", template.password))
    if template.client_name:
        commands.append(("CLIENT", "SETNAME", template.client_name))
    if template.db:
        commands.append(("SELECT", int(template.db)))
    if not commands:
        return None
    return Handshake(memoryview(resp2.pack(Batch(commands), key_locking=False)), len(commands))


def list_secrets(template: Any, credentials: Credentials | None) -> tuple[str, ...]:
    """Return the passwords of a connection, which a server may repeat in the text of an error."""
    password = credentials.arguments[-1] if credentials is not None else template.password
    return (str(password),) if password else ()


def credentials_error(error: Exception, label: str) -> ContinuumError:
    """Return what to raise for a credential provider that raised `error`; nothing was sent."""
    if isinstance(error, ContinuumError):
        return error  # of the callable TOKEN
    return ConnectionFailed(
        f"{label}: the credential provider failed with {type(error).__name__}.", unsent=True
    )


def set_keepalive(template: Any, sock: socket.socket) -> None:
    if template.socket_keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in template.socket_keepalive_options.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
