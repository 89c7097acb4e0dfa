"""The transports of a database with failover to its local store.

While the breaker is closed and no key is dirty, they cost a few attribute reads and a lookup of the
types that the replies may have. What happens otherwise is in failover_policy.py.
"""

from __future__ import annotations

from continuum_upstash.errors import ReplyError, Unavailable
from continuum_upstash.plans.command_table import have_known_types
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy


class FailoverTransport:
    """Sends batches to the database, or to the local store during an outage."""

    def __init__(self, primary: Transport, policy: FailoverPolicy) -> None:
        self._primary = primary
        self._policy = policy
        self._breaker, self._dirty_keys = policy.breaker, policy.dirty_keys
        self._runner = Runner(primary.send)

    @property
    def name(self) -> str:
        return self._policy.backend

    def send(self, batch: Batch) -> Replies:
        generation = self._breaker.generation
        if not self._breaker.is_passing or self._dirty_keys.has_pending:
            refusal = self._policy.find_refusal(batch)
            permit = self._breaker.acquire() if refusal is None else None
            if permit is None:
                return self._policy.reply_locally(batch, refusal)
            return run(self._policy.probe_then_send(permit, batch), self._runner)
        try:
            replies = self._primary.send(batch)
        except (Unavailable, ReplyError) as error:
            return self._policy.on_error(generation, batch, error)
        if have_known_types(batch.commands, replies) and not self._breaker.failures:
            return replies
        return self._policy.on_replies(generation, batch, replies)

    def close(self) -> None:
        self._primary.close()


class AsyncFailoverTransport:
    """The async counterpart of `FailoverTransport`, for one event loop."""

    def __init__(self, primary: AsyncTransport, policy: FailoverPolicy) -> None:
        self._primary = primary
        self._policy = policy
        self._breaker, self._dirty_keys = policy.breaker, policy.dirty_keys
        self._runner = AsyncRunner(primary.asend)

    @property
    def name(self) -> str:
        return self._policy.backend

    async def asend(self, batch: Batch) -> Replies:
        generation = self._breaker.generation
        if not self._breaker.is_passing or self._dirty_keys.has_pending:
            refusal = self._policy.find_refusal(batch)
            permit = self._breaker.acquire() if refusal is None else None
            if permit is None:
                return self._policy.reply_locally(batch, refusal)
            return await arun(self._policy.probe_then_send(permit, batch), self._runner)
        try:
            replies = await self._primary.asend(batch)
        except (Unavailable, ReplyError) as error:
            return self._policy.on_error(generation, batch, error)
        if have_known_types(batch.commands, replies) and not self._breaker.failures:
            return replies
        return self._policy.on_replies(generation, batch, replies)

    async def aclose(self) -> None:
        await self._primary.aclose()
