"""Singleflight: of concurrent calls with one key, one runs and the others take its result.

A call that is itself nested in such a run does not wait for another one, so that two runs cannot
wait for each other. When a run fails, only its own caller gets the error. Each waiting caller then
runs by itself, all of them at once: what fails slowly must not fail one after the other. When a run
is cancelled, one of the waiting callers runs next.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")

# A run may have started threads that wait for its own key; that cannot be detected here.
MAX_WAIT_SECONDS: Final = 30.0

_FAILED: Final = object()

_is_nested: ContextVar[bool] = ContextVar("continuum_upstash_singleflight", default=False)


class _InFlightCall:
    """
    Attributes:
        done: set at the end of the run, however it ended.
        finished: whether there is a result; False while it runs, and when it was cancelled.
        result: the run's result, or _FAILED.
    """

    __slots__ = ("done", "finished", "result")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.finished = False
        self.result: Any = None

    def set_result(self, result: object) -> None:
        self.result, self.finished = result, True


class SingleFlightGroup:
    """The runs of the threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may use the cache
        self._in_flight: dict[str, _InFlightCall] = {}

    def run(self, key: str, function: Callable[[], R]) -> R:
        """Return the result of `function`, run here or by the first thread with this key."""
        while True:
            with self._lock:
                own = _InFlightCall()
                call = self._in_flight.setdefault(key, own)
            if call is own:
                return self._run_as_leader(key, own, function)
            if _is_nested.get() or not call.done.wait(MAX_WAIT_SECONDS) or call.result is _FAILED:
                return function()
            if call.finished:
                result: R = call.result
                return result

    def _run_as_leader(self, key: str, call: _InFlightCall, function: Callable[[], R]) -> R:
        token = _is_nested.set(True)
        try:
            result = function()
        except Exception:
            call.set_result(_FAILED)
            raise
        else:
            call.set_result(result)
            return result
        finally:
            _is_nested.reset(token)
            with self._lock:
                del self._in_flight[key]
            call.done.set()


class AsyncSingleFlightGroup:
    """The runs of the tasks of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._in_flight: dict[str, asyncio.Future[Any]] = {}

    async def run(self, key: str, function: Callable[[], Awaitable[R]]) -> R:
        """Return the result of `function`, run here or by the first task with this key."""
        import asyncio  # noqa: PLC0415 sync clients start faster without it

        while (other := self._in_flight.get(key)) is not None:
            if _is_nested.get():
                return await function()
            # Not awaited itself: the cancellation of a waiting caller must not cancel the run.
            await asyncio.wait((other,), timeout=MAX_WAIT_SECONDS)
            if not other.done() or (not other.cancelled() and other.result() is _FAILED):
                return await function()
            if not other.cancelled():
                result: R = other.result()
                return result
        return await self._run_as_leader(key, function)

    async def _run_as_leader(self, key: str, function: Callable[[], Awaitable[R]]) -> R:
        call = self._in_flight[key] = self._loop.create_future()
        token = _is_nested.set(True)
        try:
            result = await function()
        except Exception:
            call.set_result(_FAILED)
            raise
        else:
            call.set_result(result)
            return result
        finally:
            _is_nested.reset(token)
            del self._in_flight[key]
            call.cancel()  # does nothing if there is a result
