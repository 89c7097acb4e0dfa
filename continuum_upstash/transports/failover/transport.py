"""A database and the local store that stands in for it, as one transport.

As long as the breaker lets calls pass and the journal is empty, this costs two attribute reads;
what happens otherwise stands in standby.py.
"""

from __future__ import annotations

from continuum_upstash.errors import ReplyError, Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.failover.policy import REFUSALS, Standby


class Failover:
    """A sync transport that is answered for."""

    def __init__(self, primary: Transport, standby: Standby) -> None:
        self._primary = primary
        self._standby = standby
        self._breaker, self._journal = standby.breaker, standby.journal
        self._runner = Runner(primary.send)

    @property
    def name(self) -> str:
        return self._standby.backend

    def send(self, batch: Batch) -> Replies:
        era = self._breaker.era
        if not self._breaker.passes or self._journal.owes:
            ticket = self._breaker.admit(patient=not self._standby.hurried(batch))
            if ticket is None:
                return self._standby.answer(batch)
            return run(self._standby.careful(ticket, batch), self._runner)
        try:
            replies = self._primary.send(batch)
        except (Unavailable, ReplyError) as error:
            return self._standby.failed(era, batch, error)
        if self._breaker.failures or type(replies[0]) in REFUSALS:
            return self._standby.heard(era, batch, replies)
        return replies

    def close(self) -> None:
        self._primary.close()


class AsyncFailover:
    """The twin of `Failover` for one event loop."""

    def __init__(self, primary: AsyncTransport, standby: Standby) -> None:
        self._primary = primary
        self._standby = standby
        self._breaker, self._journal = standby.breaker, standby.journal
        self._runner = AsyncRunner(primary.asend)

    @property
    def name(self) -> str:
        return self._standby.backend

    async def asend(self, batch: Batch) -> Replies:
        era = self._breaker.era
        if not self._breaker.passes or self._journal.owes:
            ticket = self._breaker.admit(patient=not self._standby.hurried(batch))
            if ticket is None:
                return self._standby.answer(batch)
            return await arun(self._standby.careful(ticket, batch), self._runner)
        try:
            replies = await self._primary.asend(batch)
        except (Unavailable, ReplyError) as error:
            return self._standby.failed(era, batch, error)
        if self._breaker.failures or type(replies[0]) in REFUSALS:
            return self._standby.heard(era, batch, replies)
        return replies

    async def aclose(self) -> None:
        await self._primary.aclose()
