"""Singleflight: of concurrent calls with one key, one runs and the others take its result.

A call that is itself nested in such a run does not wait for another one, so that two runs cannot
wait for each other. When a run fails, only its own caller gets the error. Each waiting caller then
runs by itself, all of them at once: what fails slowly must not fail one after the other. When a run
is cancelled, one of the waiting callers runs next.

A write of the key ends its runs: later callers do not join a run that may have read the old value.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from continuum_upstash.plans.effects import FlightKey

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")

# A run may have started threads that wait for its own key; that cannot be detected here.
MAX_WAIT_SECONDS: Final = 30.0

_FAILED: Final = object()

# The key of the run that this context belongs to.
_current_key: ContextVar[FlightKey | None] = ContextVar(
    "continuum_upstash_singleflight", default=None
)


class Runs:
    """The runs of all threads and event loops that share a database.

    Attributes:
        by_group: the runs that callers may join, by group and key.
    """

    __slots__ = ("by_group",)

    def __init__(self) -> None:
        self.by_group: dict[tuple[int, FlightKey], Any] = {}

    def end(self, keys: Collection[str] | None) -> None:
        """Let no later caller join a run of one of these keys, or of any key if None.

        A run does not end itself when it stores its result.
        """
        own = _current_key.get()
        for group, key in tuple(self.by_group):
            if key != own and (keys is None or _names_any(key, keys)):
                self.by_group.pop((group, key), None)


def _names_any(key: FlightKey, keys: Collection[str]) -> bool:
    return key in keys if isinstance(key, str) else any(each in keys for each in key)


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

    def __init__(self, runs: Runs | None = None) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may use the cache
        self._in_flight = (runs or Runs()).by_group

    def run(self, key: FlightKey, function: Callable[[], R]) -> R:
        """Return the result of `function`, run here or by the first thread with this key."""
        while True:
            with self._lock:
                own = _InFlightCall()
                call: _InFlightCall = self._in_flight.setdefault((id(self), key), own)
            if call is own:
                return self._run_as_leader(key, own, function)
            if (
                _current_key.get() is not None
                or not call.done.wait(MAX_WAIT_SECONDS)
                or call.result is _FAILED
            ):
                return function()
            if call.finished:
                result: R = call.result
                return result

    def _run_as_leader(self, key: FlightKey, call: _InFlightCall, function: Callable[[], R]) -> R:
        token = _current_key.set(key)
        try:
            result = function()
        except Exception:
            call.set_result(_FAILED)
            raise
        else:
            call.set_result(result)
            return result
        finally:
            _current_key.reset(token)
            with self._lock:
                if self._in_flight.get((id(self), key)) is call:
                    self._in_flight.pop((id(self), key), None)
            call.done.set()


class AsyncSingleFlightGroup:
    """The runs of the tasks of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, runs: Runs | None = None) -> None:
        self._loop = loop
        self._in_flight = (runs or Runs()).by_group

    async def run(self, key: FlightKey, function: Callable[[], Awaitable[R]]) -> R:
        """Return the result of `function`, run here or by the first task with this key."""
        import asyncio  # noqa: PLC0415 sync clients start faster without it

        other: asyncio.Future[Any] | None
        while (other := self._in_flight.get((id(self), key))) is not None:
            if _current_key.get() is not None:
                return await function()
            # Not awaited itself: the cancellation of a waiting caller must not cancel the run.
            await asyncio.wait((other,), timeout=MAX_WAIT_SECONDS)
            if not other.done() or (not other.cancelled() and other.result() is _FAILED):
                return await function()
            if not other.cancelled():
                result: R = other.result()
                return result
        return await self._run_as_leader(key, function)

    async def _run_as_leader(self, key: FlightKey, function: Callable[[], Awaitable[R]]) -> R:
        call = self._in_flight[id(self), key] = self._loop.create_future()
        token = _current_key.set(key)
        try:
            result = await function()
        except Exception:
            call.set_result(_FAILED)
            raise
        else:
            call.set_result(result)
            return result
        finally:
            _current_key.reset(token)
            if self._in_flight.get((id(self), key)) is call:
                self._in_flight.pop((id(self), key), None)
            call.cancel()  # does nothing if there is a result
