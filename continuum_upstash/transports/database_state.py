"""What one database keeps: the features' objects, and for each event loop a transport and runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import ref

from continuum_upstash.transports.base import AsyncTransport
from continuum_upstash.transports.singleflight import AsyncSingleFlightGroup, Runs

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_STATES_IN_LOOP: Final = "_continuum_upstash"


class Extras:
    """One object per class, made when it is first needed; any number of threads may use it.

    A feature keeps its state here and not in a module: its counters or clocks, for example. The
    state lasts as long as its owner, a `Database` or the process; a forked child starts without.
    """

    __slots__ = ("_lock", "_objects")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: `make` may need another object
        self._objects: dict[type[Any], Any] = {}

    def get(self, kind: type[T], make: Callable[[], T] | None = None) -> T:
        """Return the object of class `kind`.

        Args:
            kind: the class.
            make: makes the object where `kind()` would not do.
        """
        try:
            found: T = self._objects[kind]
        except KeyError:
            with self._lock:
                if kind not in self._objects:
                    self._objects[kind] = (make or kind)()
                found = self._objects[kind]
        return found


class LoopState:
    """The transport and the runs of one event loop."""

    __slots__ = ("__weakref__", "loop", "single_flights", "transport")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: AsyncTransport, runs: Runs
    ) -> None:
        self.loop = loop
        self.transport = transport
        self.single_flights = AsyncSingleFlightGroup(loop, runs)


class LoopStates:
    """The states of the event loops of one database.

    A state is an attribute of its loop: a loop that is dropped without being closed is collected
    together with its connections. The states of loops without attributes (uvloop's) are kept here
    until the loop is closed.
    """

    __slots__ = ("__weakref__", "_get_running_loop", "_kept", "_states")

    def __init__(self) -> None:
        self._get_running_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
        self._states: dict[int, ref[LoopState]] = {}
        self._kept: dict[int, LoopState] = {}

    def get_running(self) -> LoopState | None:
        """Return the state of the running event loop."""
        if self._get_running_loop is None:  # an import statement takes longer than all of this
            import asyncio  # noqa: PLC0415 sync clients start faster without it

            self._get_running_loop = asyncio.get_running_loop
        return self.get(self._get_running_loop())

    def get(self, loop: asyncio.AbstractEventLoop) -> LoopState | None:
        found = self._states.get(id(loop))
        return found() if found is not None else None

    def add(self, state: LoopState) -> None:
        """Add the state of a loop, and drop the states of loops that are closed."""
        for number, found in tuple(self._states.items()):
            other = found()
            if other is None or other.loop.is_closed():
                self._remove(number, other)
        loop = state.loop
        try:
            vars(loop).setdefault(_STATES_IN_LOOP, {})[id(self)] = state
        except TypeError:
            self._kept[id(loop)] = state
        self._states[id(loop)] = ref(state)

    def pop(self, loop: asyncio.AbstractEventLoop) -> LoopState | None:
        state = self.get(loop)
        self._remove(id(loop), state)
        return state

    def list_states(self) -> list[LoopState]:
        states = [found() for found in tuple(self._states.values())]
        return [state for state in states if state is not None]

    def list_loops(self) -> list[asyncio.AbstractEventLoop]:
        return [state.loop for state in self.list_states()]

    def _remove(self, number: int, state: LoopState | None) -> None:
        self._states.pop(number, None)  # another thread may be removing it, too
        self._kept.pop(number, None)
        if state is not None:
            getattr(state.loop, _STATES_IN_LOOP, {}).pop(id(self), None)
