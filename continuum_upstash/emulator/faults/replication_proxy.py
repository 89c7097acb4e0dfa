"""A proxy between the primary and its replica: it delays the stream of the primary."""

import asyncio
from collections import deque
from collections.abc import Callable

from continuum_upstash.emulator.listeners import reset
from continuum_upstash.emulator.redis.upstream import Address


class ReplicationProxy:
    """Creates the protocol of each accepted connection.

    `delay` delays all data of the primary, in seconds.
    """

    def __init__(self, primary: Address) -> None:
        self.primary = primary
        self.delay = 0.0
        self._clients: set[_ReplicaConnection] = set()

    def accept(self) -> asyncio.Protocol:
        return _ReplicaConnection(self)

    def add(self, client: "_ReplicaConnection") -> None:
        self._clients.add(client)

    def remove(self, client: "_ReplicaConnection") -> None:
        self._clients.discard(client)

    def reset_all(self) -> None:
        for client in tuple(self._clients):
            client.reset()


class _DelayedWriter:
    """Writes the data of one direction in order, each piece after its own delay in seconds."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()

    def send(self, data: bytes, delay: float) -> None:
        if not delay and not self._waiting:
            self._write(data)
            return
        self._waiting.append((self._loop.time() + delay, data))
        if len(self._waiting) == 1:
            self._schedule_first()

    def _schedule_first(self) -> None:
        # One timer at a time: the loop does not keep the order of timers that are due together.
        self._loop.call_at(self._waiting[0][0], self._write_first)

    def _write_first(self) -> None:
        self._write(self._waiting.popleft()[1])
        if self._waiting:
            self._schedule_first()


class _ReplicaConnection(asyncio.Protocol):
    """The connection from the replica. It opens and closes the connection to the primary."""

    def __init__(self, proxy: ReplicationProxy) -> None:
        self._proxy = proxy
        self._replies = _DelayedWriter(self._write_to_client)
        self._redis = _ServerConnection(self)
        self._opening: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.add(self)
        transport.pause_reading()
        self._opening = asyncio.create_task(self._open(transport))

    async def _open(self, transport: asyncio.Transport) -> None:
        try:
            await self._proxy.primary.open(lambda: self._redis)
        except OSError:
            transport.abort()
            return
        if transport.is_closing():
            self._close_redis()
        else:
            transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._redis.transport is not None:
            self._redis.transport.write(data)

    def on_reply(self, data: bytes) -> None:
        self._replies.send(data, self._proxy.delay)

    def _close_redis(self) -> None:
        if self._redis.transport is not None:
            self._redis.transport.close()

    def _write_to_client(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._proxy.remove(self)
        self._close_redis()

    def pause_writing(self) -> None:
        if self._redis.transport is not None:
            self._redis.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._redis.transport is not None:
            self._redis.transport.resume_reading()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        if self.transport is not None:
            reset(self.transport)


class _ServerConnection(asyncio.Protocol):
    """The connection to the primary."""

    def __init__(self, client: _ReplicaConnection) -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._client.on_reply(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._client.close()

    def pause_writing(self) -> None:
        if self._client.transport is not None:
            self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._client.transport is not None:
            self._client.transport.resume_reading()
