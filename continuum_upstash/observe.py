"""What happens, as frozen records, to whoever subscribes: the only instrumentation seam."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol, TypeAlias

from continuum_upstash.protocol import Command, Reply

logger = logging.getLogger("continuum_upstash")


class CommandDetails(NamedTuple):
    """One round trip, after it ended.

    Attributes:
        alias: the cache alias, or the client's name.
        backend: who answered: ``upstash-rest``, ``upstash-redis`` or ``local``.
        commands: as the plan gave them; keys and values included, so never log them.
        replies: in the order of the commands; empty when the whole batch failed.
        seconds: from the call to its end.
        error: what failed the whole batch.
    """

    alias: str
    backend: str
    commands: Sequence[Command]
    replies: Sequence[Reply]
    seconds: float
    error: Exception | None


@dataclass(frozen=True, slots=True)
class StateChange:
    """The breaker of a database changed its state.

    Attributes:
        alias: the cache alias, or the client's name.
        old, new: ``closed``, ``open``, ``half_open``, ``forced_open`` or ``disabled``.
        reason: why, in one line without secrets.
        backend: who answers from now on.
        previous_backend: who answered until now.
    """

    alias: str
    old: str
    new: str
    reason: str
    backend: str
    previous_backend: str


@dataclass(frozen=True, slots=True)
class BackendStatus:
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
    """

    backend: str
    state: str
    reason: str
    since: float
    next_probe: float | None
    failures: int
    local_replies: int
    dirty_keys: int


@dataclass(frozen=True, slots=True)
class ValueDiscarded:
    """A stored value could not be decoded and was treated as a miss, or one was not stored.

    Attributes:
        alias: the cache alias, or the client's name.
        reason: why, in one line; it names neither key nor value.
    """

    alias: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coalesced:
    """Batches of one event-loop tick travelled as one request.

    Attributes:
        alias: the cache alias, or the client's name.
        backend: who answered.
        batches: how many requests that saved.
    """

    alias: str
    backend: str
    batches: int


@dataclass(frozen=True, slots=True)
class LimitDecided:
    """A rate limit let a request through, or refused it.

    Looks, which cost nothing, are not told; nor is a policy that without its database lets all
    through, since it decides nothing.

    Attributes:
        alias: the cache alias that counts.
        policy: the name of the policy; of a refused request, of each one that refused.
        outcome: ``allowed``, ``limited``, ``cached``, ``unavailable`` or ``shadow``, as in
            ``Decision.reason``.
        allowed: whether the request may go on.
    """

    alias: str
    policy: str
    outcome: str
    allowed: bool


Record: TypeAlias = CommandDetails | StateChange | ValueDiscarded | Coalesced | LimitDecided


class Observer(Protocol):
    def __call__(self, record: Record, /) -> None:
        """Take note, quickly: it runs in the caller's thread or event loop."""


_observers: tuple[Observer, ...] = ()


def subscribe(observer: Observer) -> None:
    """Have `observer` called with every record; twice the same is once."""
    global _observers  # noqa: PLW0603 a tuple that is replaced needs no lock to be read
    if observer not in _observers:
        _observers = (*_observers, observer)


def unsubscribe(observer: Observer) -> None:
    global _observers  # noqa: PLW0603 as in subscribe
    _observers = tuple(each for each in _observers if each != observer)


def observed() -> bool:
    """Return whether a record would reach anybody, so that building one can be spared."""
    return bool(_observers)


def notify(record: Record) -> None:
    for observer in _observers:
        try:
            observer(record)
        except Exception:  # an observer's fault must not become the cache's
            logger.exception("An observer of continuum_upstash failed")


_LOG_INTERVAL = 60.0  # seconds
_logged_at: dict[tuple[str, str], float] = {}


def discard(record: ValueDiscarded) -> None:
    """Tell observers of a value that was not stored or not understood, and log it.

    A page may read one broken value a thousand times a minute: each kind of it is logged once
    in that time for each alias.
    """
    notify(record)
    now = monotonic()
    kind = (record.alias, record.reason.partition(":")[0])
    if now - _logged_at.get(kind, -math.inf) >= _LOG_INTERVAL:
        _logged_at[kind] = now
        logger.warning("Cache '%s': %s", record.alias, record.reason)
