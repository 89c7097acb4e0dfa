"""What async connections share: a timeout that loses no reply, and how to connect to a host."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final

from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.sockets import iter_connect_attempts

# The most passes of a loop that a reply takes from the socket to the task that awaits it.
_PASSES: Final = 10


class DeadlineScope:
    """`asyncio.timeout_at`, except that it first processes what the sockets have received.

    A loop that was busy past the deadline, or a process that was stopped, would otherwise run
    the timer before it reads a reply that arrived long ago.
    """

    def __init__(self, at: float) -> None:
        """
        Args:
            at: seconds of the loop's clock.
        """
        self._at = at
        self._passes = _PASSES
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._timeout.__aenter__()
        self._handle: asyncio.Handle = self._loop.call_at(self._at, self._count_pass)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._handle.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _count_pass(self) -> None:
        self._passes -= 1
        if self._passes:
            self._handle = self._loop.call_soon(self._count_pass)
        else:
            self._timeout.reschedule(self._at)


async def connect_socket(
    host: str,
    port: int,
    deadline: Deadline,
    configure: Callable[[socket.socket], object],
    family: int = 0,
) -> socket.socket:
    """Return a socket that is connected to the first address of a host that accepts it.

    asyncio's own choice of an address leaks a socket if it is cancelled when one succeeds.

    Args:
        host: a name or an address.
        port: the port.
        deadline: for all addresses together; in seconds of the loop's clock.
        configure: sets the options of a new socket.
        family: of the addresses, 0 for any.

    Raises:
        OSError: the last address failed, or there is none.
    """
    loop = asyncio.get_running_loop()
    async with DeadlineScope(deadline.at):
        addresses = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    for attempt in iter_connect_attempts(addresses, deadline.get_remaining):
        with attempt as (sock, address, timeout):
            sock.setblocking(False)
            configure(sock)
            async with DeadlineScope(loop.time() + timeout):
                await loop.sock_connect(sock, address)
            return sock
    raise OSError(f"{host} has no address")
