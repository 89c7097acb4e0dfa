"""When a database is asked and when it is not: a table of states and events.

Whatever changes the state stands in this file, and nothing else does: no I/O, no thread, no
sleep. The clock and chance are handed in; observers are told after the lock is released.

    closed       every caller asks; three failures in a row, or one refusal of everything, open it
    open         nobody asks until the break is over
    half_open    one caller asks, the probe; it reports, or its lease ends and the next one asks
    forced_open  nobody asks until `reset`
    disabled     every caller asks, whatever happens

No thread waits for the end of a break: whoever comes next is the probe, so that it works where
processes are frozen between requests.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum, auto
from math import inf
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

TRIP_AFTER: Final = 3
FIRST_BREAK: Final = 2.0
COURTESY: Final = 2.0
REFUSAL_BREAK: Final = 300.0  # a token or a plan is not put right within seconds
LONGEST_BREAK: Final = 3600.0  # whatever a Retry-After asks for


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class Event(Enum):
    TRIPPED = auto()
    PROBED = auto()
    HEALED = auto()
    FORCED = auto()
    SWITCHED_OFF = auto()
    RESET = auto()


_BY_HAND: Final = {
    Event.FORCED: State.FORCED_OPEN,
    Event.SWITCHED_OFF: State.DISABLED,
    Event.RESET: State.CLOSED,
}
NEXT: Final[Mapping[State, Mapping[Event, State]]] = {
    State.CLOSED: _BY_HAND | {Event.TRIPPED: State.OPEN},
    State.OPEN: _BY_HAND | {Event.PROBED: State.HALF_OPEN},
    State.HALF_OPEN: _BY_HAND | {Event.TRIPPED: State.OPEN, Event.HEALED: State.CLOSED},
    State.FORCED_OPEN: _BY_HAND,
    State.DISABLED: _BY_HAND,
}
ASKED: Final = frozenset({State.CLOSED, State.DISABLED})


_Change: TypeAlias = tuple[State, State, str]


class Ticket(NamedTuple):
    """Leave to ask the database, to be handed back with the report.

    Attributes:
        era: what the breaker was in then; a report from an earlier era counts for nothing.
        probe: everybody else is waiting for this one's report.
    """

    era: int
    probe: bool


class Breaker:
    """The state of one database, for all threads and loops of a process.

    Args:
        ceiling: seconds; the longest break of an outage.
        lease: seconds that a probe has before another one may try.
        tell: called with the old state, the new one and the reason, once per change.
        clock: monotonic seconds.
        chance: a number from 0 to 1, which spreads the probes of many processes.

    Attributes:
        passes: everybody may ask.
        era: grows with every change of the state and every probe.
        failures: how many in a row.
        reason: why the state is what it is.
        since: clock seconds of the last change of the state.
        until: clock seconds: the end of the break, or of the probe's lease; infinite by force.
    """

    def __init__(
        self,
        ceiling: float,
        lease: float,
        tell: Callable[[State, State, str], None],
        clock: Callable[[], float] = monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ceiling, self._lease, self._tell = ceiling, lease, tell
        self._clock, self._chance = clock, chance
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()
        self._breaks = 0
        self.state = State.CLOSED
        self.passes = True
        self.era = 0
        self.failures = 0
        self.reason = "started"
        self.since = clock()
        self.until = -inf

    def admit(self, *, patient: bool = True) -> Ticket | None:
        """Return leave to ask, or None: the answer must come from elsewhere.

        Args:
            patient: whether the caller waits for as long as the database may take. Who does not
                makes a poor probe, and lets others be it for two seconds.
        """
        courtesy = 0.0 if patient else COURTESY
        if not self.passes and self._clock() < self.until + courtesy:
            return None
        with self._lock:
            ticket, change = self._admit(courtesy)
        self._announce(change)
        return ticket

    def succeeded(self, era: int) -> None:
        """Report an answer, whatever it says."""
        with self._lock:
            change = None
            if era == self.era:
                self.failures = 0
                if self.state is State.HALF_OPEN:
                    change = self._enter(Event.HEALED, "it answers again")
        self._announce(change)

    def failed(
        self, era: int, reason: str, *, refused: bool = False, retry_after: float | None = None
    ) -> None:
        """Report that there was no answer.

        Args:
            era: the ticket's.
            reason: in one line, without secrets.
            refused: the database turns everything away, and will for longer than an outage lasts.
            retry_after: seconds that it asked us to stay away.
        """
        with self._lock:
            change = None
            if era == self.era and Event.TRIPPED in NEXT[self.state]:
                self.failures += 1
                if refused or self.state is State.HALF_OPEN or self.failures >= TRIP_AFTER:
                    change = self._enter(Event.TRIPPED, reason)
                    self.until = self.since + self._break(refused, retry_after)
        self._announce(change)

    def force_open(self, reason: str = "by hand") -> None:
        """Ask nobody until `reset`."""
        self._by_hand(Event.FORCED, reason)

    def disable(self, reason: str = "by hand") -> None:
        """Ask always, until `reset`; each failure is still answered for."""
        self._by_hand(Event.SWITCHED_OFF, reason)

    def reset(self, reason: str = "by hand") -> None:
        """Start anew, closed."""
        self._by_hand(Event.RESET, reason)

    def end_break(self) -> None:
        """Let the next caller be the probe, without waiting for the rest of the break."""
        with self._lock:
            if self.state is State.OPEN:
                self.until = self._clock()

    def _by_hand(self, event: Event, reason: str) -> None:
        with self._lock:
            self.failures = self._breaks = 0
            change = None
            if NEXT[self.state][event] is not self.state:
                change = self._enter(event, reason)
        self._announce(change)

    def _admit(self, courtesy: float) -> tuple[Ticket | None, _Change | None]:
        if self.passes:
            return Ticket(self.era, probe=False), None
        now = self._clock()
        if now < self.until + courtesy:
            return None, None
        change = None
        if self.state is State.OPEN:
            change = self._enter(Event.PROBED, "the break is over: one call tries")
        else:
            self.era += 1  # the lease of a probe ended: its report counts no more
        self.until = now + self._lease
        return Ticket(self.era, probe=True), change

    def _enter(self, event: Event, reason: str) -> _Change:
        old, new = self.state, NEXT[self.state][event]
        self.state, self.passes = new, new in ASKED
        self.era += 1
        self.reason, self.since = reason, self._clock()
        self.until = inf if new is State.FORCED_OPEN else -inf
        if self.passes:
            self._breaks = 0
        return old, new, reason

    def _break(self, refused: bool, retry_after: float | None) -> float:
        """Return the seconds of the next break, shortened by chance by up to a fifth."""
        # 2, 4, 8 … up to the ceiling; the exponent is bounded since outages may last for days.
        seconds = min(FIRST_BREAK * (1 << min(self._breaks, 16)), self._ceiling)
        self._breaks += 1
        if refused:
            seconds = max(seconds, REFUSAL_BREAK)
        return max(seconds * (1 - self._chance() / 5), min(retry_after or 0.0, LONGEST_BREAK))

    def _announce(self, change: _Change | None) -> None:
        if change is not None:
            self._tell(*change)
