"""Connections to the upstream server: the Valkey or Redis behind the emulator."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self, TypeVar
from urllib.parse import unquote, urlsplit

from continuum_upstash.emulator.emulator_options import InvalidOption
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, Parser, Reply, pack

P = TypeVar("P", bound=asyncio.BaseProtocol)


class UpstreamError(ConnectionError):
    """The upstream server is unreachable, or it rejects the login or a command."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a Redis server: the `path` of a Unix socket, or `host` and `port`."""

    path: str = ""
    host: str = ""
    port: int = 6379
    tls: bool = False
    username: str = ""
    password: str = ""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Raises:
            InvalidOption: the URL does not start with redis://, rediss:// or unix://, or it names
                a database other than 0.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise InvalidOption(
                f"a Redis URL starts with redis://, rediss:// or unix://, not {parts.scheme!r}"
            )
        if parts.scheme != "unix" and parts.path not in {"", "/", "/0"}:
            raise InvalidOption(
                f"Upstash supports only database 0: the URL must end with /0, not {parts.path}"
            )
        login = cls(username=unquote(parts.username or ""), password=unquote(parts.password or ""))
        if parts.scheme == "unix":
            return replace(login, path=parts.path)
        return replace(
            login,
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            tls=parts.scheme == "rediss",
        )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    async def open(self, factory: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        if self.path:
            return (await loop.create_unix_connection(factory, self.path))[1]
        context = ssl.create_default_context() if self.tls else None
        return (await loop.create_connection(factory, self.host, self.port, ssl=context))[1]


class UpstreamConnection(asyncio.Protocol):
    """A connection that sends one batch at a time, or receives the messages of one subscription."""

    def __init__(self) -> None:
        self._parser = Parser()
        self._transport: asyncio.Transport | None = None
        self._replies: list[Reply] = []
        self._expected = 0
        self._waiter: asyncio.Future[list[Reply]] | None = None
        self._pushes: asyncio.Queue[Reply | None] | None = None

    @property
    def is_usable(self) -> bool:
        idle = self._waiter is None and self._pushes is None
        return idle and self._transport is not None and not self._transport.is_closing()

    async def send(self, commands: Sequence[Argv]) -> list[Reply]:
        """Send the commands in one write; return their replies in order."""
        if not commands:
            return []
        if self._transport is None or self._transport.is_closing():
            raise UpstreamError("the connection to Valkey is closed")
        self._expected = len(commands)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(pack(commands))
        return await self._waiter

    async def listen(self, command: Argv) -> AsyncIterator[Reply]:
        """Send SUBSCRIBE, PSUBSCRIBE or MONITOR; yield its messages until the connection closes."""
        pushes = self._pushes = asyncio.Queue()
        self.write(command)
        while (push := await pushes.get()) is not None:
            yield push

    def write(self, command: Argv) -> None:
        """Send a command while the connection listens; `listen` yields its reply."""
        assert self._transport is not None
        self._transport.write(pack([command]))

    def stop_listening(self) -> None:
        """Use the connection for commands again, after the last subscription has ended."""
        self._pushes = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        parsed = self._parser.feed(data)
        if self._pushes is not None:
            for push in parsed:
                self._pushes.put_nowait(push)
            return
        self._replies += parsed
        if self._waiter is not None and len(self._replies) == self._expected:
            replies, self._replies = self._replies, []
            waiter, self._waiter = self._waiter, None
            if not waiter.cancelled():
                waiter.set_result(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pushes is not None:
            self._pushes.put_nowait(None)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(UpstreamError(f"Valkey closed the connection: {exc}"))


async def connect(address: Address) -> UpstreamConnection:
    """Open a connection and authenticate.

    Raises:
        UpstreamError: the server is unreachable, or it rejects the login.
    """
    try:
        connection = await address.open(UpstreamConnection)
    except OSError as error:
        raise UpstreamError(f"cannot connect to Redis at {address}: {error}") from error
    if address.password:
        user = address.username or "default"
        (reply,) = await connection.send([(b"AUTH", user.encode(), address.password.encode())])
        if isinstance(reply, Error):
            connection.close()
            raise UpstreamError(f"Redis at {address} rejects the login: {reply.decode()}")
    return connection


class UpstreamPool:
    """Gives each request a connection of its own, which keeps transactions apart."""

    def __init__(self, address: Address, size: int = 64) -> None:
        self._address = address
        self._idle: list[UpstreamConnection] = []
        self._in_use: set[UpstreamConnection] = set()
        self._slots = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[UpstreamConnection]:
        async with self._slots:
            connection = self._pop_idle() or await connect(self._address)
            self._in_use.add(connection)
            try:
                yield connection
            finally:
                self._in_use.discard(connection)
                # After a cancelled request, replies are still to come: do not reuse the connection.
                if connection.is_usable:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _pop_idle(self) -> UpstreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    def close(self) -> None:
        for connection in (*self._idle, *self._in_use):
            connection.close()
        self._idle.clear()
