"""One run among concurrent callers: the first caller of a key works, the others take its result.

A caller that is itself inside such a run never waits for another one, so that two runs cannot
wait for each other. When a run fails, its error is the first caller's alone: each of the others
then runs by itself, all at once, since what fails slowly must not fail in a row. When a run is
cancelled, one of the others becomes the next to work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

R = TypeVar("R")

# Seconds. A run may have begun threads that wait for its key, which nobody can know here.
LONGEST_WAIT: Final = 30.0

_FAILED: Final = object()

_inside: ContextVar[bool] = ContextVar("continuum_upstash_inside_run", default=False)


class _Flight:
    """
    Attributes:
        result: the run's, or that it failed; nothing while it goes on or when it was cancelled.
    """

    __slots__ = ("done", "landed", "result")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.landed = False
        self.result: Any = None

    def land(self, result: object) -> None:
        self.result, self.landed = result, True


class Flights:
    """The runs under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may use the cache, too
        self._under_way: dict[str, _Flight] = {}

    def once(self, key: str, run: Callable[[], R]) -> R:
        """Return what `run` returns, here or in the thread that was first."""
        while True:
            with self._lock:
                mine = _Flight()
                flight = self._under_way.setdefault(key, mine)
            if flight is mine:
                return self._lead(key, mine, run)
            if _inside.get() or not flight.done.wait(LONGEST_WAIT) or flight.result is _FAILED:
                return run()
            if flight.landed:
                result: R = flight.result
                return result

    def _lead(self, key: str, flight: _Flight, run: Callable[[], R]) -> R:
        token = _inside.set(True)
        try:
            result = run()
        except Exception:
            flight.land(_FAILED)
            raise
        else:
            flight.land(result)
            return result
        finally:
            _inside.reset(token)
            with self._lock:
                del self._under_way[key]
            flight.done.set()


class AsyncFlights:
    """The runs under way in one event loop."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Any]] = {}

    async def once(self, key: str, run: Callable[[], Awaitable[R]]) -> R:
        """Return what `run` returns, here or in the task that was first."""
        while (other := self._under_way.get(key)) is not None:
            if _inside.get():
                return await run()
            # Waiting, not awaiting: a follower that is cancelled must not cancel the leader.
            await asyncio.wait((other,), timeout=LONGEST_WAIT)
            if not other.done() or (not other.cancelled() and other.result() is _FAILED):
                return await run()
            if not other.cancelled():
                result: R = other.result()
                return result
        return await self._lead(key, run)

    async def _lead(self, key: str, run: Callable[[], Awaitable[R]]) -> R:
        flight = self._under_way[key] = asyncio.get_running_loop().create_future()
        token = _inside.set(True)
        try:
            result = await run()
        except Exception:
            flight.set_result(_FAILED)
            raise
        else:
            flight.set_result(result)
            return result
        finally:
            _inside.reset(token)
            del self._under_way[key]
            flight.cancel()  # does nothing to a flight that landed
