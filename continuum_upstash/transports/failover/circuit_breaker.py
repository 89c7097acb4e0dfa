"""The circuit breaker: whether commands are sent to the database.

Its state changes in this file only, by a table of states and events. It does no I/O, starts no
thread and never sleeps. The clock and the random numbers are arguments, and the observer is called
after the lock has been released.

    closed       all calls are sent; three consecutive failures, or one refusal of all commands,
                 open the breaker
    open         no call is sent until the backoff ends
    half_open    one call is sent, the probe; if its result is not recorded within the probe
                 time-out, the next call becomes the probe
    forced_open  no call is sent until `reset`
    disabled     all calls are sent, whatever their results

No background thread ends the backoff: the first call after it is the probe. This also works on
platforms that freeze a process between requests.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum, auto
from math import inf
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

FAILURE_THRESHOLD: Final = 3
BASE_OPEN_SECONDS: Final = 2.0
REFUSED_OPEN_SECONDS: Final = 300.0  # a wrong token or an exhausted quota lasts for minutes
MAX_RETRY_AFTER: Final = 3600.0  # seconds; a longer Retry-After is cut to this
NO_FAILURES: Final = "no failures yet"  # the reason of a new breaker


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class Event(Enum):
    TRIPPED = auto()
    PROBED = auto()
    RECOVERED = auto()
    FORCED = auto()
    DISABLED = auto()
    RESET = auto()


_MANUAL: Final = {
    Event.FORCED: State.FORCED_OPEN,
    Event.DISABLED: State.DISABLED,
    Event.RESET: State.CLOSED,
}
TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.CLOSED: _MANUAL | {Event.TRIPPED: State.OPEN},
    State.OPEN: _MANUAL | {Event.PROBED: State.HALF_OPEN},
    State.HALF_OPEN: _MANUAL | {Event.TRIPPED: State.OPEN, Event.RECOVERED: State.CLOSED},
    State.FORCED_OPEN: _MANUAL,
    State.DISABLED: _MANUAL,
}
CALLING_STATES: Final = frozenset({State.CLOSED, State.DISABLED})


_Change: TypeAlias = tuple[State, State, str]


class Permit(NamedTuple):
    """The permission to send one call.

    Attributes:
        generation: the breaker's when the permit was issued. A result is ignored if the breaker
            has a newer generation by then.
        probe: whether this call is the probe of a half-open breaker.
    """

    generation: int
    probe: bool


class CircuitBreaker:
    """The state of one database, for all threads and event loops of a process.

    Args:
        max_open_seconds: the longest backoff of an outage.
        probe_timeout: seconds after which another call may probe if the probe has no result.
        on_change: called once for each change of state, with the old state, the new state and the
            reason.
        clock: monotonic seconds.
        rng: returns a number from 0 to 1; it spreads the probes of many processes over time.

    Attributes:
        is_passing: whether all calls are sent.
        generation: incremented with each change of state and each new probe.
        failures: the number of consecutive failures.
        reason: why the breaker is in its state.
        since: clock seconds of the last change of state.
        retry_at: clock seconds at which the backoff or the probe's time-out ends; infinite if the
            breaker is forced open.
    """

    def __init__(
        self,
        max_open_seconds: float,
        probe_timeout: float,
        on_change: Callable[[State, State, str], None],
        clock: Callable[[], float] = monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._max_open_seconds, self._probe_timeout = max_open_seconds, probe_timeout
        self._on_change, self._clock, self._rng = on_change, clock, rng
        # Reentrant: a signal handler that uses the cache may interrupt this thread here.
        self._lock = threading.RLock()
        self._times_opened = 0
        self.state = State.CLOSED
        self.is_passing = True
        self.generation = 0
        self.failures = 0
        self.reason = NO_FAILURES
        self.since = clock()
        self.retry_at = -inf

    def acquire(self) -> Permit | None:
        """Return a permit to send one call, or None if it must not be sent."""
        if not self.is_passing and self._clock() < self.retry_at:
            return None
        with self._lock:
            permit, change = self._acquire()
        self._report(change)
        return permit

    def record_success(self, generation: int) -> None:
        """Record that the database replied, even with an error of a command.

        Args:
            generation: the permit's.
        """
        with self._lock:
            change = None
            if generation == self.generation:
                self.failures = 0
                if self.state is State.HALF_OPEN:
                    change = self._enter(Event.RECOVERED, "the database replies again")
        self._report(change)

    def record_failure(
        self,
        generation: int,
        reason: str,
        *,
        refused: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Record that the database did not reply.

        Args:
            generation: the permit's.
            reason: one line without secrets.
            refused: the database refuses all commands, which lasts longer than most outages.
            retry_after: the shortest backoff in seconds, as the server requested it.
        """
        with self._lock:
            change = None
            if generation == self.generation and Event.TRIPPED in TRANSITIONS[self.state]:
                self.failures += 1
                is_probe = self.state is State.HALF_OPEN
                if refused or is_probe or self.failures >= FAILURE_THRESHOLD:
                    change = self._enter(Event.TRIPPED, reason)
                    self.retry_at = self.since + self._next_open_seconds(refused, retry_after)
        self._report(change)

    def release(self, generation: int) -> None:
        """Return a permit without a result; after a probe, the next call becomes the probe.

        Args:
            generation: the permit's.
        """
        with self._lock:
            if generation == self.generation and self.state is State.HALF_OPEN:
                self.retry_at = self._clock()

    def force_open(self, reason: str = "manual") -> None:
        """Send no call until `reset`."""
        self._force(Event.FORCED, reason)

    def disable(self, reason: str = "manual") -> None:
        """Send every call until `reset`, whatever the results; failed calls still fail over."""
        self._force(Event.DISABLED, reason)

    def reset(self, reason: str = "manual") -> None:
        """Close the breaker and clear its counters."""
        self._force(Event.RESET, reason)

    def allow_probe_now(self) -> None:
        """End the backoff, if there is one: the next call is the probe."""
        with self._lock:
            if self.state is State.OPEN:
                self.retry_at = self._clock()

    def _force(self, event: Event, reason: str) -> None:
        with self._lock:
            self.failures = self._times_opened = 0
            change = None
            if TRANSITIONS[self.state][event] is not self.state:
                change = self._enter(event, reason)
        self._report(change)

    def _acquire(self) -> tuple[Permit | None, _Change | None]:
        if self.is_passing:
            return Permit(self.generation, probe=False), None
        now = self._clock()
        if now < self.retry_at:
            return None, None
        change = None
        if self.state is State.OPEN:
            change = self._enter(Event.PROBED, "the backoff has ended, one call probes")
        else:
            self.generation += 1  # the previous probe's result no longer counts
        self.retry_at = now + self._probe_timeout
        return Permit(self.generation, probe=True), change

    def _enter(self, event: Event, reason: str) -> _Change:
        old, new = self.state, TRANSITIONS[self.state][event]
        self.state, self.is_passing = new, new in CALLING_STATES
        self.generation += 1
        self.reason, self.since = reason, self._clock()
        self.retry_at = inf if new is State.FORCED_OPEN else -inf
        if self.is_passing:
            self._times_opened = 0
        return old, new, reason

    def _next_open_seconds(self, refused: bool, retry_after: float | None) -> float:
        """Return the seconds of the next backoff, with a jitter of up to -20 %."""
        # The exponent is bounded because an outage may last for days.
        seconds = min(
            BASE_OPEN_SECONDS * (1 << min(self._times_opened, 16)), self._max_open_seconds
        )
        self._times_opened += 1
        if refused:
            seconds = max(seconds, REFUSED_OPEN_SECONDS)
        return max(seconds * (1 - self._rng() / 5), min(retry_after or 0.0, MAX_RETRY_AFTER))

    def _report(self, change: _Change | None) -> None:
        if change is not None:
            self._on_change(*change)
