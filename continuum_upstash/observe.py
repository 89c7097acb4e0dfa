"""Records of what happens, for subscribed observers: statistics, metrics, tracing, signals."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from time import monotonic
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from continuum_upstash.protocol import Command, Reply

logger = logging.getLogger("continuum_upstash")


class CommandDetails(NamedTuple):
    """One round trip, recorded when it ended.

    Attributes:
        alias: the cache alias, or the client's name.
        backend: what replied: ``upstash-rest``, ``upstash-redis`` or ``local``.
        commands: with their keys and values, so do not log them.
        replies: in the order of the commands; empty if the whole batch failed.
        seconds: the duration.
        error: the error of the whole batch, or None.
    """

    alias: str
    backend: str
    commands: Sequence[Command]
    replies: Sequence[Reply]
    seconds: float
    error: Exception | None


class StateChange(NamedTuple):
    """The circuit breaker of a database changed its state.

    Attributes:
        alias: the cache alias, or the client's name.
        old: the state before.
        new: the state now: ``closed``, ``open``, ``half_open``, ``forced_open`` or ``disabled``.
        reason: why, in one line without secrets.
        backend: what replies from now on.
        previous_backend: what replied until now.
    """

    alias: str
    old: str
    new: str
    reason: str
    backend: str
    previous_backend: str


# The stages of a budget, in their order; see transports/wrappers/budget_guard.py.
BUDGET_STAGES: Final = ("within", "warn", "near", "essential", "local")
RESTRICTED_STAGES: Final = frozenset({"essential", "local"})  # the local store serves the cache


class BudgetStatus(NamedTuple):
    """How much of a month's budget is used, as far as this process knows.

    Attributes:
        stage: ``within``, ``warn``, ``near``, ``essential`` or ``local``.
        used: billed commands of this month, of all processes.
        limit: the budget in commands.
        reason: why the stage is this one, in one line.
        ends_at: Unix seconds of the end of the month, UTC.
    """

    stage: str
    used: int
    limit: int
    reason: str
    ends_at: float

    @property
    def used_ratio(self) -> float:
        """The used fraction of the budget."""
        return self.used / self.limit


class BudgetChange(NamedTuple):
    """A database reached another stage of its budget in this process.

    Attributes:
        alias: the cache alias, or the client's name.
        old: the stage before.
        new: the stage now: ``within``, ``warn``, ``near``, ``essential`` or ``local``.
        reason: why, in one line.
        used: billed commands of this month, of all processes.
        limit: the budget in commands.
        state: of the circuit breaker.
        backend: what serves the cache from now on.
        previous_backend: what served it until now.
    """

    alias: str
    old: str
    new: str
    reason: str
    used: int
    limit: int
    state: str
    backend: str
    previous_backend: str


Writes: TypeAlias = Literal["accepted", "full", "read_only"]


class BackendStatus(NamedTuple):
    """The state of a database as this process sees it.

    Attributes:
        backend: what serves calls now: ``upstash-rest``, ``upstash-redis`` or ``local``.
        state: of the circuit breaker: ``closed``, ``open``, ``half_open``, ``forced_open`` or
            ``disabled``.
        reason: why the breaker is in this state, in one line without secrets.
        since: Unix seconds of the last change of state.
        next_probe: Unix seconds of the next attempt to reach the database, or None.
        failures: consecutive failed calls.
        local_replies: batches that the local store has served in place of the database since the
            process started.
        dirty_keys: keys, or prefixes of keys, to UNLINK before the database is read again.
        pool_exhausted: calls that failed since the process started because all connections of the
            pool were busy.
        last_pool_exhausted: Unix seconds of the last such call, or None.
        writes: ``full`` if the database has refused a write within the last minute because it
            stores nothing more, ``read_only`` if it accepted no writes, else ``accepted``.
        budget: how much of the month's budget is used; None: there is no budget, or no command has
            been sent yet.
    """

    backend: str
    state: str
    reason: str
    since: float
    next_probe: float | None
    failures: int
    local_replies: int
    dirty_keys: int
    pool_exhausted: int = 0
    last_pool_exhausted: float | None = None
    writes: Writes = "accepted"
    budget: BudgetStatus | None = None


class ValueDiscarded(NamedTuple):
    """A stored value could not be decoded and counts as a miss, or a value was not stored.

    Attributes:
        alias: the cache alias, or the client's name.
        reason: why, in one line without the key and the value.
        kind: ``full`` if the database stores nothing more, ``too_large`` if the value exceeds
            MAX_VALUE_BYTES or the server's limit, ``undecodable`` if a stored value cannot be
            decoded.
    """

    alias: str
    reason: str
    kind: Literal["full", "too_large", "undecodable"]


class Coalesced(NamedTuple):
    """Batches of one event-loop tick were sent in one request.

    Attributes:
        alias: the cache alias, or the client's name.
        backend: what replied.
        batches: how many requests this saved.
    """

    alias: str
    backend: str
    batches: int


class NearRead(NamedTuple):
    """A read found keys in the near cache of the process.

    Attributes:
        alias: the cache alias, or the client's name.
        hits: how many keys.
        saved_commands: 1 if it found all keys, so that no command was sent, else 0.
    """

    alias: str
    hits: int
    saved_commands: int


class LimitDecided(NamedTuple):
    """A rate limit allowed or refused a request.

    Not recorded for checks with cost=0, nor for policies with on_error="allow" while the limiter is
    unavailable.

    Attributes:
        alias: the cache alias with the counters.
        policy: the name of the policy; if the request was refused, one record for each policy that
            refused it.
        outcome: ``allowed``, ``limited``, ``cached``, ``deny_list``, ``unavailable`` or ``shadow``,
            as in ``Decision.reason``.
        allowed: whether the request was allowed.
    """

    alias: str
    policy: str
    outcome: str
    allowed: bool


class ProtectedRead(NamedTuple):
    """`get_or_set` with stampede protection did not just find a value or compute a missing one.

    Attributes:
        alias: the cache alias.
        result: ``early`` if the value was refreshed before its time, ``stale`` if an old value was
            returned after its time, ``waited`` if another caller computed the missing value.
    """

    alias: str
    result: Literal["early", "stale", "waited"]


class JobEnded(NamedTuple):
    """A worker of this process has ended an attempt of a job.

    Attributes:
        alias: the cache alias with the queue.
        queue: the name of the queue.
        outcome: ``done``; ``retried`` if it failed and has attempts left; ``dead`` if it became a
            dead letter; ``released`` if it was given back; ``lost`` if its lease ended before.
        seconds: how long the handler ran.
        attempts: how often the job was reserved.
    """

    alias: str
    queue: str
    outcome: Literal["done", "retried", "dead", "released", "lost"]
    seconds: float
    attempts: int


Record: TypeAlias = (
    CommandDetails
    | StateChange
    | BudgetChange
    | ValueDiscarded
    | Coalesced
    | NearRead
    | LimitDecided
    | ProtectedRead
    | JobEnded
)


class Observer(Protocol):
    def __call__(self, record: Record, /) -> None:
        """Process a record, quickly: this runs in the caller's thread or event loop."""


_observers: tuple[Observer, ...] = ()


def subscribe(observer: Observer) -> None:
    """Call `observer` with every record from now on; a second subscription has no effect."""
    global _observers  # noqa: PLW0603 replacing a tuple needs no lock
    if observer not in _observers:
        _observers = (*_observers, observer)


def unsubscribe(observer: Observer) -> None:
    global _observers  # noqa: PLW0603 as in subscribe
    _observers = tuple(other for other in _observers if other != observer)


def has_observers() -> bool:
    """Return whether any observer is subscribed. If not, no record need be built."""
    return bool(_observers)


def notify(record: Record) -> None:
    for observer in _observers:
        try:
            observer(record)
        except Exception:  # an observer's error must not fail the cache operation
            logger.exception("An observer of continuum_upstash failed")


_LOG_INTERVAL = 60.0  # seconds
_logged_at: dict[tuple[str, str], float] = {}


def report_discarded(record: ValueDiscarded) -> None:
    """Notify the observers of a value that was not stored or not decoded, and log it."""
    notify(record)
    log_once_a_minute(record.alias, record.reason)


def log_once_a_minute(alias: str, reason: str) -> None:
    """Log a warning unless one of its kind was logged for the alias within the last minute.

    Args:
        alias: the cache alias, or the client's name.
        reason: one line without secrets; the part before the first colon is its kind.
    """
    now = monotonic()
    kind = (alias, reason.partition(":")[0])
    if now - _logged_at.get(kind, -math.inf) >= _LOG_INTERVAL:
        _logged_at[kind] = now
        logger.warning("Cache '%s': %s", alias, reason)
