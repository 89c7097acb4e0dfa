"""The TCP port: connections, their traffic, and the faults that act on connections."""

import asyncio
from typing import Final

from continuum_upstash.emulator.faults.model import FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import reset
from continuum_upstash.emulator.redis.upstream import UpstreamError
from continuum_upstash.emulator.tcp.request_reader import ProtocolError, RequestReader
from continuum_upstash.emulator.tcp.session import Session, SessionFactory
from continuum_upstash.emulator.usage import UsageCounter

_MAX_PENDING_BYTES: Final = 1024 * 1024


class TcpServer:
    """Creates the protocol of each accepted connection."""

    def __init__(self, sessions: SessionFactory, usage: UsageCounter, faults: Faults) -> None:
        self.sessions = sessions
        self.usage = usage
        self.faults = faults
        self._clients: set[_ClientConnection] = set()

    def accept(self) -> asyncio.Protocol:
        self.usage.tcp.connections += 1
        return _ClientConnection(self)

    def add(self, client: "_ClientConnection") -> None:
        self._clients.add(client)

    def remove(self, client: "_ClientConnection") -> None:
        self._clients.discard(client)

    def reset_all(self) -> None:
        for client in tuple(self._clients):
            client.reset()


class _ClientConnection(asyncio.Protocol):
    """Runs what a client writes, in order. Each write waits for its own latency."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._session: Session = server.sessions.create(self._write)
        self._reader = RequestReader(server.sessions.max_request_size)
        self._loop = asyncio.get_running_loop()
        self._pending: asyncio.Queue[tuple[float, bytes, bool]] = asyncio.Queue()
        self._pending_bytes = 0
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.add(self)
        self._task = asyncio.create_task(self._process(transport))

    def data_received(self, data: bytes) -> None:
        faults = self._server.faults
        self._server.usage.tcp.requests += 1
        self._server.usage.tcp.bytes_received += len(data)
        if faults.consume(FaultKind.RESET, Side.TCP):
            self.reset()
        elif not faults.consume(FaultKind.HANG, Side.TCP):
            truncate = faults.consume(FaultKind.CLOSE, Side.TCP) is not None
            latency = faults.consume(FaultKind.LATENCY, Side.TCP)
            due = self._loop.time() + latency.delay if latency else 0.0
            self._pending.put_nowait((due, data, truncate))
            self._pending_bytes += len(data)
            if self._pending_bytes > _MAX_PENDING_BYTES and self.transport is not None:
                self.transport.pause_reading()

    async def _process(self, transport: asyncio.Transport) -> None:
        try:
            while not transport.is_closing():
                due, data, truncate = await self._pending.get()
                if due:
                    await asyncio.sleep(due - self._loop.time())
                self._pending_bytes -= len(data)
                if self._pending_bytes <= _MAX_PENDING_BYTES:
                    transport.resume_reading()
                await self._respond(data, truncate=truncate)
                await self._can_write.wait()
        except UpstreamError:
            transport.abort()  # as if the server had crashed
        finally:
            self._session.close()

    async def _respond(self, data: bytes, *, truncate: bool) -> None:
        try:
            requests = self._reader.feed(data)
        except ProtocolError as error:
            self._write(f"-ERR Protocol error: {error}\r\n".encode())
            self.close()
            return
        output = await self._session.run(requests)
        self._write(output[: len(output) // 2] if truncate else output)
        if truncate or self._session.is_finished:
            self.close()

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self._server.usage.tcp.bytes_sent += len(data)
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._server.remove(self)
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        if self.transport is not None:
            reset(self.transport)
