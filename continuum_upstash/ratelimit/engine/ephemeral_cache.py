"""Who has nothing left, until when: for as long, to ask would cost and change nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from continuum_upstash.ratelimit.engine.script import Charge, Counter

_LONGEST_SECONDS: Final = 60.0

# A charge's counter, and up to which limit.
_Known: TypeAlias = tuple[Counter, int]


class _Denial(NamedTuple):
    cost: int
    free_at: float
    believed_until: float


class Denials:
    """A bounded memory of what does not fit, safe for threads.

    Who has to wait for longer than a minute is asked for once a minute, so that a reset by
    another process is noticed.

    Args:
        size: entries; the oldest are forgotten first.
        clock: monotonic seconds.
    """

    def __init__(self, size: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._size, self._clock = size, clock
        self._denials: OrderedDict[_Known, _Denial] = OrderedDict()
        self._lock = threading.RLock()  # re-entrant as the breaker's

    def note(self, charge: Charge, seconds: float) -> None:
        """Remember that a charge does not fit for so many seconds, nor does one that costs more."""
        now, known = self._clock(), (charge.counter, charge.limit)
        denial = _Denial(charge.cost, now + seconds, now + min(seconds, _LONGEST_SECONDS))
        with self._lock:
            self._denials[known] = denial
            self._denials.move_to_end(known)
            if len(self._denials) > self._size:
                self._denials.popitem(last=False)

    def find(self, charge: Charge) -> float:
        """Return the seconds for which a charge is known not to fit, or 0."""
        if not self._denials:
            return 0.0
        known = (charge.counter, charge.limit)
        denial = self._denials.get(known)
        if denial is None or charge.cost < denial.cost:
            return 0.0
        now = self._clock()
        if now < denial.believed_until:
            return denial.free_at - now
        with self._lock:
            self._denials.pop(known, None)
        return 0.0

    def forget(self, storage: str) -> None:
        with self._lock:
            for known in [each for each in self._denials if each[0][0] == storage]:
                del self._denials[known]

    def __len__(self) -> int:
        return len(self._denials)
