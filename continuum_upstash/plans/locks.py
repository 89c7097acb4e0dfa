"""Locks in one key, as plans: SET NX to take, compare-and-delete to give back.

They are leases: a holder that dies gives its lock back by the key's expiry, and one that is
slower than its lease has lost it, which `release` and `extend` say. They exclude as long as one
database keeps the key; they are no fencing tokens.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from continuum_upstash.errors import LockLost, LockNotAcquired
from continuum_upstash.plans.effects import Plan, Runs, Sleep, call, pair
from continuum_upstash.protocol import Command, Reply, Script

_POLL_CEILING: Final = 1.0


def _release_rule(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    return call("DEL", keys[0]) if call("GET", keys[0]) == args[0] else 0


def _extend_rule(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    return call("PEXPIRE", keys[0], args[1]) if call("GET", keys[0]) == args[0] else 0


def _calls(_: Command, reply: Reply) -> int:
    return 1 if reply == 0 else 2  # GET, and what follows if the token is ours


RELEASE: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nreturn redis.call('DEL', KEYS[1])",
    _release_rule,
    _calls,
)
EXTEND: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    _extend_rule,
    _calls,
)


class LockPlans:
    """A lock that one holder at a time has.

    Args:
        runs: who runs the plans: the backend or client that made the lock.
        name: the full Redis key.
        lease: seconds after which the database gives the lock back by itself.
        sleep: seconds between two tries at first; it grows to a second, with jitter, since
            each try is a billed command.
        wait: seconds to try for; None: for ever, 0: once.
        native: the server has Upstash's one-command forms (DELEX, SET IFEQ): one billed
            command instead of three.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        runs: Runs,
        name: str,
        *,
        lease: float = 60.0,
        sleep: float = 0.1,
        wait: float | None = None,
        native: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if lease <= 0 or sleep <= 0:
            raise ValueError("a lock's lease and sleep are seconds above 0")
        self._run, self._arun = runs._run, runs._arun  # noqa: SLF001 the protocol of pair()
        self.name = name
        self._lease, self._sleep, self._wait = lease, sleep, wait
        self._native, self._clock = native, clock
        self._token: str | None = None

    def plan_acquire(self, *, blocking: bool = True) -> Plan[bool]:
        """Take the lock; return whether it was taken in time."""
        token = secrets.token_hex(16)
        deadline = None if self._wait is None else self._clock() + self._wait
        pause = self._sleep
        while True:
            command: Command = ("SET", self.name, token, "PX", _ms(self._lease), "NX")
            if (yield from call(*command, needs_server=True)) is not None:
                self._token = token
                return True
            delay = pause * random.uniform(0.75, 1.25)  # noqa: S311 spreads the tries, no secret
            if not blocking or (deadline is not None and self._clock() + delay > deadline):
                return False
            yield Sleep(delay)
            pause = min(pause * 1.5, max(self._sleep, _POLL_CEILING))

    def plan_enter(self) -> Plan[None]:
        if not (yield from self.plan_acquire()):
            raise LockNotAcquired(f"The lock was not free within {self._wait} s.")

    def plan_release(self) -> Plan[None]:
        """Give the lock back.

        Raises:
            LockLost: it was not held any more: the lease ended, and somebody else may have it.
        """
        token, self._token = self._held(), None
        command: Command = ("EVAL", RELEASE, 1, self.name, token)
        if self._native:
            command = ("DELEX", self.name, "IFEQ", token)
        if not (yield from call(*command, needs_server=True)):
            raise LockLost("The lock had expired before it was released: give it a longer lease.")

    def plan_extend(self, lease: float | None = None) -> Plan[None]:
        """Start the lease anew, by default with the length it had.

        Raises:
            LockLost: it was not held any more.
        """
        token, ms = self._held(), _ms(self._lease if lease is None else lease)
        command: Command = ("EVAL", EXTEND, 1, self.name, token, ms)
        if self._native:
            command = ("SET", self.name, token, "IFEQ", token, "PX", ms)
        if not (yield from call(*command, needs_server=True)):
            raise LockLost("The lock had expired before it was extended: extend it earlier.")

    def plan_locked(self) -> Plan[bool]:
        """Return whether anybody holds the lock."""
        return bool((yield from call("EXISTS", self.name, needs_server=True)))

    def plan_owned(self) -> Plan[bool]:
        """Return whether this object holds the lock still."""
        if self._token is None:
            return False
        holder: bytes | None = yield from call("GET", self.name, needs_server=True)
        return holder == self._token.encode()

    def _held(self) -> str:
        if self._token is None:
            raise LockLost("This lock object holds no lock: acquire it first.")
        return self._token


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


class Lock(LockPlans):
    """A lock for threads: ``with cache.lock("report"): …``."""

    acquire = pair(LockPlans.plan_acquire)[0]
    release = pair(LockPlans.plan_release)[0]
    extend = pair(LockPlans.plan_extend)[0]
    locked = pair(LockPlans.plan_locked)[0]
    owned = pair(LockPlans.plan_owned)[0]

    def __enter__(self) -> Self:
        self._run(self.plan_enter())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class AsyncLock(LockPlans):
    """A lock for tasks: ``async with cache.alock("report"): …``."""

    acquire = pair(LockPlans.plan_acquire)[1]
    release = pair(LockPlans.plan_release)[1]
    extend = pair(LockPlans.plan_extend)[1]
    locked = pair(LockPlans.plan_locked)[1]
    owned = pair(LockPlans.plan_owned)[1]

    async def __aenter__(self) -> Self:
        await self._arun(self.plan_enter())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.release()
