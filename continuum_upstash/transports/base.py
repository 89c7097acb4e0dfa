"""What a transport is: one function from a batch to its replies, and its coroutine twin.

Transports wrap each other; each is thread-safe (sync) or belongs to one event loop (async).
"""

from __future__ import annotations

from typing import Protocol

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies


class Transport(Protocol):
    """
    Attributes:
        name: who answers: ``upstash-rest``, ``upstash-redis`` or ``local``.
    """

    @property
    def name(self) -> str: ...

    def send(self, batch: Batch) -> Replies:
        """Return one reply per command; an error that the server gave stands in its place.

        Raises:
            Unavailable: there was no answer in time.
            Refused: the whole batch was turned away.
        """
        ...

    def close(self) -> None:
        """Drop the connections; the next batch opens new ones."""


class AsyncTransport(Protocol):
    """The twin of `Transport` for one event loop."""

    @property
    def name(self) -> str: ...

    async def asend(self, batch: Batch) -> Replies: ...

    async def aclose(self) -> None: ...
