"""The async counterpart of `pool`, for the tasks of one event loop."""

from __future__ import annotations

import asyncio

from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.pool import C, Slot, SlotQueue


class _WaitingTask:
    """A task, and the future that it awaits."""

    __slots__ = ("__weakref__", "_future", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self, seconds: float) -> None:
        await asyncio.wait((self._future,), timeout=seconds)
        if self._future.done():
            self._future = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class AsyncConnectionPool(SlotQueue[C]):
    """At most `size` connections for the tasks of an event loop."""

    def __init__(self, size: int, label: str) -> None:
        super().__init__(size, label)
        self._is_closed = False

    async def acquire(self, slot: Slot[C], deadline: Deadline) -> None:
        """Fill a slot; see `ConnectionPool.acquire`."""
        if self._waiters or not self._fill(slot):
            waiter = _WaitingTask(deadline.at)
            for seconds in self._iter_waits(slot, deadline, waiter):
                await waiter.wait(seconds)

    def release(self, slot: Slot[C]) -> None:
        super().release(slot)
        if self._is_closed:
            self.drop_idle()

    def close(self) -> list[C]:
        """Close the idle connections now, and each of the others when it is released.

        Returns:
            those that were idle.
        """
        self._is_closed = True
        return self.drop_idle()
