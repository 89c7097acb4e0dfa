"""An async timeout that first processes what has arrived in time."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

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
