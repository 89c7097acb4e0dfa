"""The failover policy of one database: its circuit breaker, its dirty keys and its local store.

The breaker counts a batch as failed if the server did not reply, if it replied that it runs no
command for now, or if a reply cannot be the one to its command. A batch whose writes the server
refuses for now, during an upgrade for example, is served by the local store; the breaker stays
closed, since reads succeed.

While the breaker is not closed or keys are dirty, a batch takes these steps. They are a plan, so
they are written once for sync and async:

1. Without a permit of the breaker, the local store serves the batch at once.
2. The probe sends a PING first (not billed): a write is not attempted on a dead connection, and
   writes still in flight complete before ours.
3. The batch's dirty keys are unlinked, so that it reads nothing that this process has changed.
4. The batch is sent and its result recorded.

The local store never serves a command that needs the server (locks, INFO, SCAN …): it raises
`Unavailable`. With FALLBACK off, every command does.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Final
from weakref import ref

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    CapacityExceeded,
    DeadlineExceeded,
    NotPermitted,
    PoolExhausted,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
    Unavailable,
)
from continuum_upstash.observe import (
    RESTRICTED_STAGES,
    BackendStatus,
    BudgetChange,
    StateChange,
    Writes,
    log_once_a_minute,
    logger,
    notify,
)
from continuum_upstash.plans.command_table import (
    ReplyKind,
    get_spec,
    is_reply_to,
    list_written_keys,
)
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.transports.failover.circuit_breaker import (
    CALLING_STATES,
    CircuitBreaker,
    Permit,
    State,
)
from continuum_upstash.transports.failover.dirty_keys import DirtyKeys
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.service_errors import Meaning, get_meaning
from continuum_upstash.transports.wrappers.instrumented import InstrumentedTransport

if TYPE_CHECKING:
    from continuum_upstash.transports.wrappers.budget_guard import BudgetGuard

# The server refuses all commands until someone changes the token or the quota.
GLOBAL_REFUSALS: Final = (AuthenticationFailed, QuotaExceeded)
LOG_INTERVAL: Final = 60.0  # seconds
_OUTAGE_ERRORS: Final = (Unavailable, *GLOBAL_REFUSALS)
# Until an upgrade ends, or someone changes the token or the permissions.
_READ_ONLY_ERRORS: Final = (ReadOnlyReplica, NotPermitted)
_SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})
_REFUSAL_SECONDS: Final = 60.0  # how long the status shows that a write was refused
_RETRY_STATES: Final = {State.OPEN, State.HALF_OPEN}
_BACKENDS: Final = {"rest": "upstash-rest", "redis": "upstash-redis", "local": "local"}


class FailoverPolicy:
    """What the sync transport and all event loops of one database share.

    A forked child process has a policy of its own.

    Attributes:
        breaker: the circuit breaker; the admin panel may force its state.
        dirty_keys: the keys to UNLINK before the database is read again.
        local: the store that serves batches during an outage.
        drop_copies: called with keys that were unlinked in the database after an outage, or with
            None for any key: a near cache has copies of them.
        local_replies: batches that the local store has served.
        budget: decides which batches may be sent; None: there is no budget.
    """

    def __init__(
        self,
        config: Config,
        local: LocalTransport,
        clock: Callable[[], float] = monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        # PING, UNLINK and the batch each have a deadline; a probe that takes longer is considered
        # lost.
        timeout = 3 * config.read_timeout
        self.breaker = CircuitBreaker(
            config.health_check_interval, timeout, self._on_state_change, clock, rng
        )
        self.dirty_keys = DirtyKeys(timeout, self._drop_local, clock)
        self._config = config
        self._fallback = config.fallback
        self.local = local
        self._metered = InstrumentedTransport(local, config.alias)
        self._clock = clock
        self._lock = threading.RLock()  # reentrant, as the breaker's
        self.local_replies = 0
        self.budget: BudgetGuard | None = None
        self.drop_copies: Callable[[Sequence[str] | None], None] = lambda _: None
        self._pool_exhausted = 0
        self._pool_exhausted_at = self._pool_logged_at = -inf
        self._refused_write: tuple[Meaning, float] = (Meaning.COMMAND, -inf)
        self._last_counted_error: Callable[[], Exception | None] = lambda: None

    @property
    def backend(self) -> str:
        """The backend that serves calls now."""
        if self.budget is not None and self.budget.is_restricted:
            self.budget.refresh()  # the month may have ended
        return self._backend_in_state(self.breaker.state)

    @property
    def status(self) -> BackendStatus:
        breaker, offset = self.breaker, time() - self._clock()
        retry_at, backend, budget = breaker.retry_at, self.backend, self.budget
        is_restricted = budget is not None and budget.is_restricted and breaker.is_passing
        return BackendStatus(
            backend=backend,
            state=breaker.state.value,
            reason=budget.reason if budget is not None and is_restricted else breaker.reason,
            since=breaker.since + offset,
            next_probe=retry_at + offset if -inf < retry_at < inf else None,
            failures=breaker.failures,
            local_replies=self.local_replies,
            dirty_keys=len(self.dirty_keys),
            pool_exhausted=self._pool_exhausted,
            last_pool_exhausted=self._pool_exhausted_at + offset if self._pool_exhausted else None,
            writes=self._writes,
            budget=None if budget is None else budget.status,
        )

    @property
    def _writes(self) -> Writes:
        meaning, at = self._refused_write
        if self._clock() - at >= _REFUSAL_SECONDS:
            return "accepted"
        return "full" if meaning is Meaning.FULL else "read_only"

    def probe_then_send(self, permit: Permit, batch: Batch) -> Plan[Replies]:
        """Probe if the permit says so, unlink dirty keys, and send the batch to the database."""
        try:
            if permit.probe:
                ping = batch._replace(commands=(("PING",),), atomic=False)
                error = self._find_failure(ping, (yield ping))
                if error is not None:
                    raise error
            yield from self.dirty_keys.flush_for(batch)
        except (Unavailable, ReplyError) as error:
            return self.on_error(permit.generation, batch, error, flushed=False)
        try:
            replies = yield batch
        except (Unavailable, ReplyError) as error:
            return self.on_error(permit.generation, batch, error)
        return self.on_replies(permit.generation, batch, replies)

    def on_replies(self, generation: int, batch: Batch, replies: Replies) -> Replies:
        """Record a success, or a failure if a reply shows one; return the replies to the batch.

        Args:
            generation: the breaker's when the batch was sent.
            batch: the batch that was sent.
            replies: its replies.
        """
        error = self._find_failure(batch, replies)
        if error is not None:
            return self.on_error(generation, batch, error)
        if self.breaker.failures or not self.breaker.is_passing:
            self.breaker.record_success(generation)
        refusal = self._find_refused_write(batch, replies)
        if refusal is None or self._list_local_writes(batch) is None:
            return replies
        return self.reply_locally(batch, refusal)

    def _find_failure(self, batch: Batch, replies: Replies) -> Exception | None:
        """Return the error that a failed server is recorded with, or None."""
        if len(replies) != len(batch.commands):
            return self._wrong_reply_error("a batch", f"{len(replies)} replies")
        for command, reply in zip(batch.commands, replies, strict=True):
            if isinstance(reply, _OUTAGE_ERRORS):
                return reply
            if not isinstance(reply, ReplyError) and not is_reply_to(command, reply):
                return self._wrong_reply_error(str(command[0]), f"a {type(reply).__name__}")
        return None

    def _find_refused_write(self, batch: Batch, replies: Replies) -> ReplyError | None:
        """Return the error of a write that the server refuses for now and cannot be dropped.

        A full database still deletes keys, so that the plans drop what cannot be stored; if it
        refuses that as well, it is as good as read-only.
        """
        for command, reply in zip(batch.commands, replies, strict=True):
            if isinstance(reply, (CapacityExceeded, *_READ_ONLY_ERRORS)):
                self._note_refused_write(reply)
                if isinstance(reply, _READ_ONLY_ERRORS) or get_spec(command).deletes:
                    return reply
        return None

    def _note_refused_write(self, error: ReplyError) -> None:
        self._refused_write = get_meaning(error), self._clock()
        if isinstance(error, _READ_ONLY_ERRORS):
            reason = f"the database accepts no writes for now: {error}"
            log_once_a_minute(self._config.alias, reason)

    def _wrong_reply_error(self, command: str, reply: str) -> Unavailable:
        return Unavailable(
            f"{self._config.label}: unexpected reply: {command} returned {reply}. "
            "Check the URL, and the proxy in front of the database."
        )

    def on_error(
        self, generation: int, batch: Batch, error: Exception, *, flushed: bool = True
    ) -> Replies:
        """Record an error; after an outage error, let the local store serve the batch.

        Args:
            generation: the breaker's when the batch was sent.
            batch: the batch that failed.
            error: its error.
            flushed: whether the batch's dirty keys were unlinked. If not, the batch was not sent,
                and the local store serves it after any error.

        Raises:
            Unavailable, ReplyError: the error, if the local store cannot serve the batch.
            PoolExhausted: always, unless the breaker has opened meanwhile.
        """
        if isinstance(error, BudgetExceeded):
            if not self.breaker.is_passing:  # a probe, whose PING the server has replied to
                self.breaker.record_success(generation)
        elif isinstance(error, PoolExhausted):
            self.breaker.release(generation)
            if self.breaker.is_passing:
                self._report_pool_exhausted(error)
                raise error
        elif not isinstance(error, _OUTAGE_ERRORS):
            self.breaker.record_success(generation)
            if isinstance(error, _READ_ONLY_ERRORS):
                self._note_refused_write(error)
            elif flushed:
                raise error
        elif isinstance(error, DeadlineExceeded) and not error.is_outage:
            self.breaker.release(generation)
        elif error is not self._last_counted_error():
            # Coalesced batches share one request and its error; they count as one failure.
            self._last_counted_error = ref(error)
            self.breaker.record_failure(
                generation,
                str(error).removeprefix(f"{self._config.label}: "),
                refused=self._is_refusal(error),
                retry_after=error.retry_after,
            )
        return self.reply_locally(batch, error)

    def find_refusal(self, batch: Batch) -> BudgetExceeded | None:
        """Return why the budget does not permit a batch, or None."""
        return None if self.budget is None else self.budget.find_refusal(batch)

    def report_budget(self, guard: BudgetGuard, old: str, new: str) -> None:
        """Log a change of the budget's stage, and notify the observers."""
        previous = self._backend_in_state(
            self.breaker.state, is_restricted=old in RESTRICTED_STAGES
        )
        backend = self._backend_in_state(self.breaker.state)
        effect = f"serving from {backend}"
        if new in RESTRICTED_STAGES and not self._fallback:
            effect = "failing fast"
        logger.warning(
            "%s: budget stage %s -> %s; %s: %s", self._config.label, old, new, effect, guard.reason
        )
        status, alias, state = guard.status, self._config.alias, self.breaker.state.value
        used, limit = (0, 0) if status is None else (status.used, status.limit)
        notify(BudgetChange(alias, old, new, guard.reason, used, limit, state, backend, previous))

    def _report_pool_exhausted(self, error: PoolExhausted) -> None:
        """Count the error, and log one a minute: a crowd of callers gets it at once."""
        now = self._clock()
        with self._lock:
            self._pool_exhausted += 1
            self._pool_exhausted_at = now
            is_logged = now - self._pool_logged_at >= LOG_INTERVAL
            if is_logged:
                self._pool_logged_at = now
        if is_logged:
            logger.warning("%s", error)

    def _is_refusal(self, error: Exception) -> bool:
        """Return whether the server will refuse the next attempt, too."""
        if isinstance(error, AuthenticationFailed) and self._config.has_rotating_credentials:
            return False
        return isinstance(error, GLOBAL_REFUSALS)

    def reply_locally(self, batch: Batch, error: Exception | None = None) -> Replies:
        """Return the local store's replies, and mark the keys that the batch changes as dirty.

        Args:
            batch: any batch.
            error: the database's error, or None if the batch was not sent.

        Raises:
            Unavailable, ReplyError: `error`, or that the breaker is open, if the local store
                cannot serve the batch or FALLBACK is off.
        """
        written = self._list_local_writes(batch)
        if written is None:
            raise error or self._breaker_open_error()
        replies = self._metered.send(batch)
        if written:
            replies = [*map(self._accept_oversized_set, batch.commands, replies)]
            if not _is_forbidden_script(batch, error):
                self.dirty_keys.mark(written)
        with self._lock:
            self.local_replies += 1
        return replies

    def _list_local_writes(self, batch: Batch) -> list[str] | None:
        """Return the keys that the batch may change, or None if only the server may serve it."""
        return list_written_keys(batch) if self._fallback and not batch.needs_server else None

    def _accept_oversized_set(self, command: Command, reply: Reply) -> Reply:
        """Treat a value that exceeds the whole local store as stored and evicted at once."""
        if isinstance(reply, CapacityExceeded) and get_spec(command).reply is ReplyKind.STORED:
            self._drop_local(list_written_keys(Batch((command,))))
            return b"OK"
        return reply

    def _breaker_open_error(self) -> Unavailable:
        seconds = self.breaker.retry_at - self._clock()
        if seconds < inf:
            action = f"next attempt in {max(seconds, 0):.0f} s"
        else:
            action = "no attempt until it is reset"
        return Unavailable(
            f"{self._config.label}: circuit breaker open, {action}: {self.breaker.reason}"
        )

    def _drop_local(self, keys: Iterable[str] | None) -> None:
        if keys is None:
            self.local.clear()
            self.drop_copies(None)
        elif keys := tuple(keys):
            self.local.send(Batch((("UNLINK", *keys),)))
            self.drop_copies(keys)

    def _backend_in_state(self, state: State, *, is_restricted: bool | None = None) -> str:
        if is_restricted is None:
            is_restricted = self.budget is not None and self.budget.is_restricted
        if self._fallback and (is_restricted or state not in CALLING_STATES):
            return self.local.name
        return _BACKENDS[self._config.mode]

    def _on_state_change(self, old: State, new: State, reason: str) -> None:
        # Logged here and not by an observer: a failover must be logged even if the app is not in
        # INSTALLED_APPS, and for a client without Django.
        backend = self._backend_in_state(new)
        if new in CALLING_STATES:
            effect = f"serving from {backend}"
        elif self._fallback:
            # Queues have no fallback, and the policy does not know what uses the alias.
            effect = "serving cache calls from the local fallback"
        else:
            effect = "failing fast"
        level = logging.INFO if {old, new} == _RETRY_STATES else logging.WARNING
        label = self._config.label
        logger.log(level, "%s: circuit breaker %s -> %s; %s: %s", label, old, new, effect, reason)
        previous = self._backend_in_state(old)
        notify(StateChange(self._config.alias, old.value, new.value, reason, backend, previous))


def _is_forbidden_script(batch: Batch, error: Exception | None) -> bool:
    """Return whether the keys are as they were, and other commands may still change them."""
    return isinstance(error, NotPermitted) and batch.commands[0][0] in _SCRIPTS
