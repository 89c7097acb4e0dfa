"""A reserved job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from continuum_upstash.federation.queue.members import Member
from continuum_upstash.federation.queue.plans import compute_backoff
from continuum_upstash.federation.sync_tokens import apply_sync_tokens
from continuum_upstash.plans.effects import Plan

if TYPE_CHECKING:
    from continuum_upstash.federation.queue.queue import Queue

Outcome: TypeAlias = Literal["done", "retried", "dead", "released", "lost"]


class Job:
    """A job that this process has reserved.

    The lease is held until `ack`, `retry`, `fail` or `release`, or until it ends: then another
    worker may reserve the job, and these methods change nothing and return False.

    Attributes:
        queue: where it comes from.
        payload: as it was enqueued.
        lease_end: Unix seconds, by the clock of the database.
        outcome: how this process has ended the attempt, None if it has not: ``done``, ``retried``,
            ``dead``, ``released``; ``lost`` if its lease had ended before.
    """

    __slots__ = ("_member", "lease_end", "outcome", "payload", "queue")

    def __init__(self, queue: Queue, member: Member, payload: Any, lease_end: float) -> None:
        self.queue, self.payload, self.lease_end = queue, payload, lease_end
        self.outcome: Outcome | None = None
        self._member = member

    def __repr__(self) -> str:
        return f"<Job {self.id} of queue '{self.queue.name}', attempt {self.attempts}>"

    @property
    def member(self) -> Member:
        """The job as it is stored."""
        return self._member

    @property
    def id(self) -> str:
        """24 hexadecimal digits."""
        return self._member.id

    @property
    def attempts(self) -> int:
        """How often the job was reserved, this time included."""
        return self._member.attempts

    @property
    def max_attempts(self) -> int:
        """After that many attempts the job becomes a dead letter."""
        return self._member.max_attempts

    @property
    def priority(self) -> int:
        """From -100 to 100."""
        return self._member.priority

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job becomes a dead letter if this attempt fails."""
        return self.attempts >= self.max_attempts

    def apply_sync_tokens(self) -> None:
        """Make the reads of this context see what the producer had written. Nothing is sent."""
        apply_sync_tokens(self._member.tokens)

    def ack(self) -> bool:
        """Remove the job, which is done; return whether it was still leased.

        False: the lease has ended and another worker has reserved the job, or it was removed
        already, for example by a call whose reply was lost.

        Billed: 1 command; 4 if the job is unique.
        """
        return self.queue.ack_many([self]) == 1

    async def aack(self) -> bool:
        """Remove the job. See `ack`."""
        return await self.queue.aack_many([self]) == 1

    def retry(self, delay: float | None = None, reason: str = "") -> bool:
        """End this attempt; the job is ready again after a time. Return whether it was leased.

        After the last attempt the job becomes a dead letter, as with `fail`.

        Billed: 1 command, and 1 to wake workers if `delay` is 0; as `fail` after the last attempt.

        Args:
            delay: seconds; None: 5, 10, 20 … up to an hour, of each 50 to 100 % at random.
            reason: for the dead letter.
        """
        return self.queue.run(self._retry(delay, reason))

    async def aretry(self, delay: float | None = None, reason: str = "") -> bool:
        """End this attempt. See `retry`."""
        return await self.queue.arun(self._retry(delay, reason))

    def fail(self, reason: str) -> bool:
        """Move the job to the dead letters; return whether it was still leased.

        Billed: 3 commands (a script); 5 if the job is unique.
        """
        return self.queue.run(self._fail(reason))

    async def afail(self, reason: str) -> bool:
        """Move the job to the dead letters. See `fail`."""
        return await self.queue.arun(self._fail(reason))

    def release(self) -> bool:
        """Give the job back, ready and without counting the attempt; return whether it was leased.

        Billed: 3 commands (a script), and 1 to wake workers.
        """
        return self.queue.release_many([self]) == 1

    async def arelease(self) -> bool:
        """Give the job back. See `release`."""
        return await self.queue.arelease_many([self]) == 1

    def extend(self, seconds: float = 30) -> bool:
        """Let the lease end in `seconds` from now; return whether it was still held.

        Billed: 1 command; 2 if it was lost.
        """
        return not self.queue.extend_many([self], seconds)

    async def aextend(self, seconds: float = 30) -> bool:
        """Let the lease end later. See `extend`."""
        return not await self.queue.aextend_many([self], seconds)

    def _retry(self, delay: float | None, reason: str) -> Plan[bool]:
        if self.is_last_attempt:
            text = reason or f"retried after its last attempt, of {self.max_attempts}"
            return (yield from self._fail(text))
        delay = compute_backoff(self.attempts) if delay is None else delay
        held = yield from self.queue.plans.retry(self._member, delay)
        self.outcome = "retried" if held else "lost"
        return held

    def _fail(self, reason: str) -> Plan[bool]:
        held = yield from self.queue.plans.fail(self._member, reason)
        self.outcome = "dead" if held else "lost"
        return held
