"""The TCP side: forwards to Redis byte for byte, counts, and applies the faults of a network."""

import asyncio
from collections import deque
from collections.abc import Callable

from continuum_upstash.emulator.faults.model import FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import reset
from continuum_upstash.emulator.redis.connection import Address
from continuum_upstash.emulator.usage import Ledger


class TcpProxy:
    """Makes the protocol of each accepted connection.

    `reply_delay` holds back what Redis sends, in seconds: a replica that reads through the proxy
    lags behind by so much.
    """

    def __init__(self, target: Address, ledger: Ledger, faults: Faults) -> None:
        self.target = target
        self.ledger = ledger
        self.faults = faults
        self.reply_delay = 0.0
        self._links: set[_Link] = set()

    def accept(self) -> asyncio.Protocol:
        self.ledger.tcp.connections += 1
        return _Link(self)

    def joined(self, link: "_Link") -> None:
        self._links.add(link)

    def left(self, link: "_Link") -> None:
        self._links.discard(link)

    def reset_all(self) -> None:
        for link in tuple(self._links):
            link.reset()


class _Channel:
    """One direction: writes in order, each as late as it was asked to be."""

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
            self._wait_for_first()

    def _wait_for_first(self) -> None:
        # One timer at a time: the loop does not keep the order of timers that are due together.
        self._loop.call_at(self._waiting[0][0], self._deliver)

    def _deliver(self) -> None:
        self._write(self._waiting.popleft()[1])
        if self._waiting:
            self._wait_for_first()


class _Link(asyncio.Protocol):
    """The client's end of a connection."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy
        self._requests = _Channel(self._to_redis)
        self._replies = _Channel(self._to_client)
        self._redis = _RedisEnd(self)
        self._opening: asyncio.Task[None] | None = None
        self._cut_next_reply = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.joined(self)
        transport.pause_reading()
        self._opening = asyncio.create_task(self._open(transport))

    async def _open(self, transport: asyncio.Transport) -> None:
        try:
            await self._proxy.target.open(lambda: self._redis)
        except OSError:
            # As a dead server would: the client sees its connection end.
            transport.abort()
            return
        if transport.is_closing():  # a fault has reset it meanwhile
            self._close_redis()
        else:
            transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        faults = self._proxy.faults
        self._proxy.ledger.tcp.requests += 1
        self._proxy.ledger.tcp.bytes_received += len(data)
        if faults.take(FaultKind.RESET, Side.TCP):
            self.reset()
        elif not faults.take(FaultKind.HANG, Side.TCP):
            self._cut_next_reply |= faults.take(FaultKind.CLOSE, Side.TCP) is not None
            latency = faults.take(FaultKind.LATENCY, Side.TCP)
            self._requests.send(data, latency.delay if latency else 0.0)

    def replied(self, data: bytes) -> None:
        if self._cut_next_reply:
            self._to_client(data[: len(data) // 2])
            self.close()
        else:
            self._replies.send(data, self._proxy.reply_delay)

    def _close_redis(self) -> None:
        if self._redis.transport is not None:
            self._redis.transport.close()

    def _to_redis(self, data: bytes) -> None:
        if self._redis.transport is not None:
            self._redis.transport.write(data)

    def _to_client(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._proxy.ledger.tcp.bytes_sent += len(data)
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._proxy.left(self)
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


class _RedisEnd(asyncio.Protocol):
    def __init__(self, link: _Link) -> None:
        self._link = link
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._link.replied(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._link.close()

    def pause_writing(self) -> None:
        if self._link.transport is not None:
            self._link.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._link.transport is not None:
            self._link.transport.resume_reading()
