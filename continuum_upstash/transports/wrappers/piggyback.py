"""Lets somebody's commands ride in batches that are sent anyway: no round trip of their own.

Statistics are shared this way. A batch that carries a load is answered as if it did not: the
load's replies are taken off, and what it does to the batch's safety is undone. A rider that fails
is logged and left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.observe import logger
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.base import AsyncTransport, Transport


class Load(Protocol):
    """Commands that wait for a ride."""

    @property
    def commands(self) -> Sequence[Command]: ...

    def delivered(self, replies: Replies) -> None:
        """Take the replies; never called when nobody knows what became of the load."""


class Rider(Protocol):
    def offer(self, alias: str, backend: str) -> Load | None:
        """Return what is to ride in the next batch, quickly: it is asked for each one.

        Who fails is asked again for the next batch all the same, and had better have nothing then.
        """


_FAILED: Final = "What was to ride in a batch of continuum_upstash failed"

_rider: Rider | None = None


def seat(rider: Rider | None) -> None:
    """Let this one ride from now on; None: nobody."""
    global _rider  # noqa: PLW0603 one per process, as the observers
    _rider = rider


class Riding:
    """A sync transport whose batches may carry a load."""

    def __init__(self, transport: Transport, alias: str) -> None:
        self._transport = transport
        self._alias = alias
        self._runner = Runner(transport.send)
        self.name: Final = transport.name

    def send(self, batch: Batch) -> Replies:
        load = _load_for(batch, self._alias, self.name)
        if load is None:
            return self._transport.send(batch)
        return run(_carry(batch, load), self._runner)

    def close(self) -> None:
        self._transport.close()


class AsyncRiding:
    """The async twin."""

    def __init__(self, transport: AsyncTransport, alias: str) -> None:
        self._transport = transport
        self._alias = alias
        self._runner = AsyncRunner(transport.asend)
        self.name: Final = transport.name

    async def asend(self, batch: Batch) -> Replies:
        load = _load_for(batch, self._alias, self.name)
        if load is None:
            return await self._transport.asend(batch)
        return await arun(_carry(batch, load), self._runner)

    async def aclose(self) -> None:
        await self._transport.aclose()


def _load_for(batch: Batch, alias: str, backend: str) -> Load | None:
    """Return what is to ride in this batch.

    Nothing in a transaction; nor beside a single value, which would have to change its form to
    travel in company: whichever batch wrote it, a value is stored as the same bytes.
    """
    if _rider is None or batch.atomic:
        return None
    if len(batch.commands) == 1 and any(isinstance(part, bytes) for part in batch.commands[0]):
        return None
    try:
        return _rider.offer(alias, backend)
    except Exception:  # noqa: BLE001 a rider's fault must not become the cache's
        logger.exception(_FAILED)
        return None


def _carry(batch: Batch, load: Load) -> Plan[Replies]:
    own = len(batch.commands)
    try:
        replies: Replies = yield batch._replace(commands=(*batch.commands, *load.commands))
    except ConnectionFailed:
        # Without its load the transport would have sent it again by itself, on a new connection.
        if not is_retryable(batch):
            raise
        replies = yield batch
        return replies
    try:
        load.delivered(replies[own:])
    except Exception:  # noqa: BLE001 as above
        logger.exception(_FAILED)
    return replies[:own]
