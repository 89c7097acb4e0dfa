"""What a transport is: a function that sends a batch and returns its replies, sync and async.

Transports wrap each other. A sync transport is safe for any number of threads; an async one belongs
to one event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol

from continuum_upstash.errors import DeadlineExceeded, NotSerializable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports import network_errors


class Transport(Protocol):
    """Sends batches.

    Attributes:
        name: where the replies come from: ``upstash-rest``, ``upstash-redis`` or ``local``.
    """

    @property
    def name(self) -> str: ...

    def send(self, batch: Batch) -> Replies:
        """Return one reply per command; an error reply to one command is a value in its place.

        Raises:
            Unavailable: there were no replies in time.
            Refused: the server rejected the whole batch.
        """
        ...

    def close(self) -> None:
        """Close the connections; the next batch opens new ones."""


class AsyncTransport(Protocol):
    """The async counterpart of Transport."""

    @property
    def name(self) -> str: ...

    def asend(self, batch: Batch) -> Awaitable[Replies]: ...

    async def aclose(self) -> None: ...


class Deadline:
    """The time that is left for one batch.

    READ_TIMEOUT limits the exchange with the server: a transport extends the deadline by the time
    that it waited for a connection of the pool, for example. A batch's own deadline covers
    everything, and is never extended.

    Attributes:
        at: when the time is up, in seconds of the clock.
        seconds: how long the exchange may take.
        is_own: whether it is the batch's own.
    """

    __slots__ = ("_clock", "at", "is_own", "seconds")

    def __init__(
        self,
        read_timeout: float,
        own: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """
        Args:
            read_timeout: READ_TIMEOUT in seconds.
            own: the batch's `deadline_s`; None: it has no deadline of its own.
            clock: monotonic seconds.
        """
        self.is_own = own is not None
        self._clock = clock
        self.seconds = read_timeout if own is None else min(own, read_timeout)
        self.at = clock() + self.seconds

    def get_remaining(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: none are.
        """
        left = self.at - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def extend(self, seconds: float) -> None:
        if not self.is_own:
            self.at += seconds

    def limit(self, seconds: float) -> float:
        """Return a timeout of `seconds`, or what a batch's own deadline leaves of it."""
        return min(seconds, self.get_remaining()) if self.is_own else seconds

    def timeout_error(self, label: str) -> DeadlineExceeded:
        """Return the error to raise when the time is up."""
        return network_errors.read_timed_out(label, self.seconds)


def lone_surrogate_error() -> NotSerializable:
    return NotSerializable(
        "A key or an option contains a lone surrogate (U+D800 to U+DFFF), which has no UTF-8 form: "
        "Redis cannot store it. Clean the text that the key is made from."
    )
