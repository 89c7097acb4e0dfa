"""Locks in one key: SET NX acquires, compare-and-delete releases.

A lock is a lease. If its holder crashes, the key expires and the lock is free again. If its holder
is slower than the lease, the lock is lost: `release` and `extend` raise LockLost. The lock excludes
other holders as long as the database keeps the key; it is not a fencing token.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final, Generic, Self, TypeVar

from continuum_upstash.errors import (
    ConnectionFailed,
    ContinuumError,
    DeadlineExceeded,
    LockLost,
    LockNotAcquired,
)
from continuum_upstash.observe import logger
from continuum_upstash.plans.conditional import ConditionalCommands, call_conditional
from continuum_upstash.plans.effects import AsyncPlanRunner, Batch, Plan, PlanRunner, Sleep, call
from continuum_upstash.plans.timeouts import to_ms
from continuum_upstash.protocol import Command, Reply, Script, is_integer

_MAX_SLEEP: Final = 1.0  # seconds
_GIVE_BACK_SECONDS: Final = 0.5

R = TypeVar("R")


def _release_locally(
    call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]
) -> Reply:
    return call("DEL", keys[0]) if call("GET", keys[0]) == args[0] else 0


def _extend_locally(
    call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]
) -> Reply:
    return call("PEXPIRE", keys[0], args[1]) if call("GET", keys[0]) == args[0] else 0


def _count_commands(_: Command, reply: Reply) -> int:
    return 1 if reply == 0 else 2  # GET, and what follows if the token is ours


RELEASE: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nreturn redis.call('DEL', KEYS[1])",
    _release_locally,
    _count_commands,
    is_integer,
)
EXTEND: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    _extend_locally,
    _count_commands,
    is_integer,
)


class _Attempt:
    """One call of `acquire`: threads and tasks may share a lock object.

    Attributes:
        token: of a SET whose reply is not known.
        is_abandoned: the caller no longer waits for the lock.
    """

    __slots__ = ("is_abandoned", "token")

    def __init__(self) -> None:
        self.token: str | None = None
        self.is_abandoned = False

    def may_hold(self, error: BaseException) -> bool:
        """Return whether the lock may be acquired although `acquire` failed with this error."""
        if self.token is None:
            return False
        if isinstance(error, ConnectionFailed):
            return not error.unsent
        return isinstance(error, DeadlineExceeded) or not isinstance(error, ContinuumError)


class _LockPlans(Generic[R]):
    """The state of a lock and its plans.

    Args:
        runner: the cache or client that made the lock.
        name: the full Redis key.
        lease: seconds after which the key expires; None: never, so that the lock of a holder that
            crashes is never free again.
        sleep: seconds between the first two attempts. The delay grows to one second, with jitter,
            since each attempt is a billed command.
        wait: seconds until `acquire` gives up; None: never, 0: after one attempt.
        blocking: False: `acquire` makes one attempt unless it is called with ``blocking=True``.
        thread_local: only the thread that acquired the lock can release it. Otherwise every thread
            that has this object can.
        conditional: whether the server has DELEX and SET IFEQ; without it: it has not.
        clock: returns monotonic seconds.

    Raises:
        ValueError: `lease` or `sleep` is not above 0.
    """

    def __init__(
        self,
        runner: R,
        name: str,
        *,
        lease: float | None = 60.0,
        sleep: float = 0.1,
        wait: float | None = None,
        blocking: bool = True,
        thread_local: bool = False,
        conditional: ConditionalCommands | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if (lease is not None and lease <= 0) or sleep <= 0:
            raise ValueError("The lease and the sleep of a lock must be seconds above 0.")
        self._runner = runner
        self.name = name
        self._lease, self._sleep, self._wait, self._blocking = lease, sleep, wait, blocking
        self._conditional = conditional or ConditionalCommands(supported=False)
        self._clock = clock
        self._memory: Any = threading.local() if thread_local else SimpleNamespace()

    @property
    def _token(self) -> str | None:
        token: str | None = getattr(self._memory, "token", None)
        return token

    @_token.setter
    def _token(self, token: str | None) -> None:
        self._memory.token = token
        self._memory.is_release_unknown = False

    def _acquire(
        self, attempt: _Attempt, blocking: bool | None = None, wait: float | None = None
    ) -> Plan[bool]:
        token = secrets.token_hex(16)
        blocking = self._blocking if blocking is None else blocking
        wait = self._wait if wait is None else wait
        deadline = None if wait is None else self._clock() + wait
        expiry = () if self._lease is None else ("PX", to_ms(self._lease))
        pause = self._sleep
        while True:
            command: Command = ("SET", self.name, token, *expiry, "NX")
            attempt.token = token
            if (yield from call(*command, needs_server=True)) is not None:
                self._token = token
                return True
            attempt.token = None
            if attempt.is_abandoned:
                return False
            delay = pause * random.uniform(0.75, 1.25)  # noqa: S311 spreads the attempts, no secret
            if not blocking or (deadline is not None and self._clock() + delay > deadline):
                return False
            yield Sleep(delay)
            pause = min(pause * 1.5, max(self._sleep, _MAX_SLEEP))

    def _give_back(self, attempt: _Attempt) -> Plan[None]:
        """Release what an acquire that failed may have acquired."""
        token = str(attempt.token)
        if self._token == token:
            self._token = None
        command: Command = ("EVAL", RELEASE, 1, self.name, token)
        if self._conditional.supported:
            command = ("DELEX", self.name, "IFEQ", token)
        yield Batch((command,), needs_server=True, deadline_s=_GIVE_BACK_SECONDS)

    def _make_not_acquired_error(self) -> LockNotAcquired:
        within = f" within {self._wait} s" if self._blocking and self._wait is not None else ""
        return LockNotAcquired(f"The lock was not acquired{within}: another holder has it.")

    def _release(self) -> Plan[None]:
        token = self._require_token()
        native: Command = ("DELEX", self.name, "IFEQ", token)
        script: Command = ("EVAL", RELEASE, 1, self.name, token)
        # If this fails, the token stays, and the release can be repeated.
        was_unknown, self._memory.is_release_unknown = self._memory.is_release_unknown, True
        released = yield from call_conditional(self._conditional, native, script)
        self._token = None
        if not released and not was_unknown:
            raise LockLost("The lock expired before it was released: use a longer lease.")

    def _extend(self, lease: float | None) -> Plan[None]:
        token, lease = self._require_token(), self._lease if lease is None else lease
        if lease is None:
            raise ValueError("The lock has no lease that can be restarted. Pass one.")
        if lease <= 0:
            raise ValueError("The lease of a lock must be seconds above 0.")
        ms = to_ms(lease)
        native: Command = ("SET", self.name, token, "IFEQ", token, "PX", ms)
        script: Command = ("EVAL", EXTEND, 1, self.name, token, ms)
        if not (yield from call_conditional(self._conditional, native, script)):
            raise LockLost("The lock expired before it was extended: extend it earlier.")

    def _is_locked(self) -> Plan[bool]:
        return bool((yield from call("EXISTS", self.name, needs_server=True)))

    def _is_owned(self) -> Plan[bool]:
        if self._token is None:
            return False
        holder: bytes | None = yield from call("GET", self.name, needs_server=True)
        return holder == self._token.encode()

    def _require_token(self) -> str:
        if self._token is None:
            raise LockLost("This lock object does not hold the lock: acquire it first.")
        return self._token


def _report_failed_release(error: BaseException, failure: Exception) -> None:
    """Let the error of a `with` block be raised, with a note about the lock."""
    text = f"The lock was not released ({type(failure).__name__}): {failure}"
    error.add_note(text)
    logger.warning("%s", text)


class Lock(_LockPlans[PlanRunner]):
    """A lock for threads, held by one holder among all processes at a time.

    ``with cache.lock("report"): …`` acquires and releases it; entering raises LockNotAcquired if
    the lock was not acquired in time. The local fallback never serves a lock: in an outage every
    method raises Unavailable.
    """

    def acquire(
        self, *, blocking: bool | None = None, blocking_timeout: float | None = None
    ) -> bool:
        """Acquire the lock; return whether it was acquired in time.

        Billed: 1 command per attempt.

        Args:
            blocking: False makes one attempt; None: as the lock was made.
            blocking_timeout: seconds until it gives up; None: as the lock was made.
        """
        attempt = _Attempt()
        try:
            return self._runner.run(self._acquire(attempt, blocking, blocking_timeout))
        except BaseException as error:
            if attempt.may_hold(error):
                with suppress(Exception):  # the lease ends it
                    self._runner.run(self._give_back(attempt))
            raise

    def release(self) -> None:
        """Release the lock.

        Billed: 1 command; 3 on a Redis other than Upstash.

        Raises:
            LockLost: the lock was not held: it expired, and another holder may have it.
            Unavailable: it is not known whether the lock was released; repeat the call.
        """
        self._runner.run(self._release())

    def extend(self, lease: float | None = None) -> None:
        """Restart the lease.

        Billed: 1 command; 3 on a Redis other than Upstash.

        Args:
            lease: its new length in seconds; None: its original length.

        Raises:
            LockLost: the lock was not held: it expired, and another holder may have it.
            ValueError: the lease is not above 0, or there is none: the lock never expires.
        """
        self._runner.run(self._extend(lease))

    def locked(self) -> bool:
        """Return whether the lock is held, by this object or another. Billed: 1 command."""
        return self._runner.run(self._is_locked())

    def owned(self) -> bool:
        """Return whether this object holds the lock. Billed: 1 command if it was acquired."""
        return self._runner.run(self._is_owned())

    def __enter__(self) -> Self:
        if not self.acquire():
            raise self._make_not_acquired_error()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self.release()
        except Exception as failure:
            if error is None:
                raise
            _report_failed_release(error, failure)


class AsyncLock(_LockPlans[AsyncPlanRunner]):
    """A lock for tasks: ``async with cache.alock("report"): …``. See `Lock`."""

    async def acquire(
        self, *, blocking: bool | None = None, blocking_timeout: float | None = None
    ) -> bool:
        """Acquire the lock; return whether it was acquired in time.

        Billed: 1 command per attempt.

        Args:
            blocking: False makes one attempt; None: as the lock was made.
            blocking_timeout: seconds until it gives up; None: as the lock was made.
        """
        import asyncio  # noqa: PLC0415 sync clients start faster without it

        attempt = _Attempt()
        task = asyncio.ensure_future(
            self._acquire_or_give_back(attempt, blocking, blocking_timeout)
        )
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            attempt.is_abandoned = True
            if attempt.token is None:
                task.cancel()
            # Otherwise the task goes on until the reply to its SET, and gives the lock back.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _acquire_or_give_back(
        self, attempt: _Attempt, blocking: bool | None, wait: float | None
    ) -> bool:
        try:
            acquired = await self._runner.arun(self._acquire(attempt, blocking, wait))
        except Exception as error:
            if attempt.may_hold(error):
                with suppress(Exception):  # the lease ends it
                    await self._runner.arun(self._give_back(attempt))
            raise
        if acquired and attempt.is_abandoned:
            await self._runner.arun(self._give_back(attempt))
        return acquired

    async def release(self) -> None:
        """Release the lock.

        Billed: 1 command; 3 on a Redis other than Upstash.

        Raises:
            LockLost: the lock was not held: it expired, and another holder may have it.
            Unavailable: it is not known whether the lock was released; repeat the call.
        """
        await self._runner.arun(self._release())

    async def extend(self, lease: float | None = None) -> None:
        """Restart the lease.

        Billed: 1 command; 3 on a Redis other than Upstash.

        Args:
            lease: its new length in seconds; None: its original length.

        Raises:
            LockLost: the lock was not held: it expired, and another holder may have it.
            ValueError: the lease is not above 0, or there is none: the lock never expires.
        """
        await self._runner.arun(self._extend(lease))

    async def locked(self) -> bool:
        """Return whether the lock is held, by this object or another. Billed: 1 command."""
        return await self._runner.arun(self._is_locked())

    async def owned(self) -> bool:
        """Return whether this object holds the lock. Billed: 1 command if it was acquired."""
        return await self._runner.arun(self._is_owned())

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise self._make_not_acquired_error()
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            await self.release()
        except Exception as failure:
            if error is None:
                raise
            _report_failed_release(error, failure)
