"""A pool of connections whose slots no exception can lose.

An exception may be raised between any two bytecodes: by a signal handler, by a time-out of gevent
or by the cancellation of a task. Therefore nothing is counted up and down here. A slot is taken
while a *claim* on the pool exists, a weak reference that only the `Slot` object holds, and the
interpreter counts the weak references. A caller that is interrupted before it releases its slot
loses the `Slot` object with its stack frame, and the slot is free.

For the same reason, waiting callers check at intervals whether a slot is free: a caller that is
interrupted while it releases its slot may wake none of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Final, Generic, Protocol, TypeVar
from weakref import getweakrefcount, ref

from continuum_upstash.errors import Unavailable
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.base import Deadline

# Seconds between the checks of the first waiting caller, and of the others.
_FIRST_INTERVAL: Final = 0.05
_INTERVAL: Final = 0.5


class PooledConnection(Protocol):
    """
    Attributes:
        reusable: whether it may carry another request; False while it carries one.
        last_reply_at: when its last reply was complete, in the clock's seconds.
    """

    reusable: bool
    last_reply_at: float

    def is_alive(self) -> bool:
        """Return whether an idle connection can carry a request."""
        ...

    def close(self) -> None:
        """Close it; nothing happens if it is closed already."""


C = TypeVar("C", bound=PooledConnection)


class _Anchor:
    """What the claims of one pool refer to."""

    __slots__ = ("__weakref__",)


class _Claim(ref[_Anchor]):
    """A weak reference of its own; those of the class `ref` would be one shared object."""

    __slots__ = ()


class Slot(Generic[C]):
    """The right to use one connection, once `acquire` has filled it, until `release`.

    Attributes:
        connection: the connection in use; None: the holder may open one.
    """

    claim: _Claim | None = None
    connection: C | None = None


class Waiter(Protocol):
    """A caller in the queue for a slot.

    Attributes:
        until: when its wait is over, in the clock's seconds.
    """

    until: float

    def wake(self) -> None: ...


class SlotQueue(Generic[C]):
    """What the sync and the async pool share: the slots, the idle connections and the queue.

    Waiting callers get a slot in the order of their arrival: otherwise a busy thread could keep
    the others waiting.
    """

    def __init__(self, size: int, label: str) -> None:
        self.size = size
        self.label = label
        self._anchor = _Anchor()
        self._idle: list[C] = []  # the last one used is the first one to be used again
        self._waiters: deque[ref[Waiter]] = deque()
        self._last_reply_at = 0.0

    def release(self, slot: Slot[C]) -> None:
        """Free the slot, and keep its connection if that is reusable; may be repeated."""
        connection, slot.connection = slot.connection, None
        try:
            if connection is not None:
                self._last_reply_at = max(self._last_reply_at, connection.last_reply_at)
                if connection.reusable:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            slot.claim = None
            if self._waiters:
                self._wake_first()

    def drop_idle(self) -> list[C]:
        """Close the idle connections and return them."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        return idle

    def _fill(self, slot: Slot[C]) -> bool:
        """Claim a slot and take an idle connection for it; return whether one was free."""
        slot.claim = _Claim(self._anchor)
        if getweakrefcount(self._anchor) > self.size:
            slot.claim = None
            return False
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:  # no check beforehand: other threads pop, too
                break
            if connection.is_alive():
                slot.connection = connection
                break
            connection.close()
        return True

    def _iter_waits(self, slot: Slot[C], deadline: Deadline, waiter: Waiter) -> Iterator[float]:
        """Queue a waiter; yield the seconds of each wait until its slot is filled.

        An interrupted caller drops the generator, which then leaves the queue.
        """
        started = now = monotonic()
        reference = ref(waiter)
        try:
            try:
                self._waiters.append(reference)
                while not (self._find_first(now) is waiter and self._fill(slot)):
                    if now >= deadline.at:
                        raise self._make_exhausted_error(deadline, started)
                    is_first = self._find_first(now) is waiter
                    yield min(deadline.at - now, _FIRST_INTERVAL if is_first else _INTERVAL)
                    now = monotonic()
                deadline.extend(now - started)
            finally:
                self._remove(reference)
                self._wake_first()
        finally:
            waiter.until = -inf  # the removal may have been interrupted

    def _find_first(self, now: float) -> Waiter | None:
        """Return the waiter whose turn it is; those that were interrupted are removed."""
        while self._waiters:
            try:
                reference = self._waiters[0]
            except IndexError:
                return None
            waiter = reference()
            if waiter is not None and now < waiter.until + _INTERVAL:
                return waiter
            self._remove(reference)
        return None

    def _remove(self, reference: ref[Waiter]) -> None:
        with suppress(ValueError):  # another thread has removed it
            self._waiters.remove(reference)

    def _wake_first(self) -> None:
        first = self._find_first(monotonic())
        if first is not None:
            first.wake()

    def _make_exhausted_error(self, deadline: Deadline, started: float) -> Unavailable:
        """Return the error of a wait that began at `started`; without any reply it is an outage."""
        if self._last_reply_at < started and not deadline.is_own:
            return deadline.timeout_error(self.label)
        return network_errors.pool_exhausted(self.label, self.size, deadline.seconds)


class _WaitingThread:
    """A thread, or a greenlet where gevent has replaced the locks."""

    __slots__ = ("__weakref__", "_lock", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=seconds)

    def wake(self) -> None:
        with suppress(RuntimeError):  # it is awake
            self._lock.release()


class ConnectionPool(SlotQueue[C]):
    """At most `size` connections for any number of threads."""

    def acquire(self, slot: Slot[C], deadline: Deadline) -> None:
        """Fill a slot; the caller must release it even if this is interrupted.

        Waiting extends the deadline: it is not the server's time.

        Raises:
            PoolExhausted: none became free until the deadline.
            DeadlineExceeded: likewise, and the server replied on none of the connections.
        """
        if self._waiters or not self._fill(slot):
            waiter = _WaitingThread(deadline.at)
            for seconds in self._iter_waits(slot, deadline, waiter):
                waiter.wait(seconds)

    def close(self) -> None:
        """Close the idle connections; one that carries a request finishes it first."""
        self.drop_idle()
