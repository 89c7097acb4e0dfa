"""Who was refused, until when: for as long, to ask again would cost and change nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

_LONGEST_SECONDS: Final = 60.0


class _Denial(NamedTuple):
    cost: int
    free_at: float
    believed_until: float


class Denials:
    """A bounded memory of refusals, safe for threads.

    Whoever was refused for longer than a minute is asked for once a minute, so that a reset
    by another process is noticed.

    Args:
        size: entries; the oldest are forgotten first.
        clock: monotonic seconds.
    """

    def __init__(self, size: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._size, self._clock = size, clock
        self._denials: OrderedDict[tuple[str, int], _Denial] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, storage: str, limit: int, cost: int, seconds: float) -> None:
        """Remember that `cost` does not fit for so many seconds."""
        now = self._clock()
        denial = _Denial(cost, now + seconds, now + min(seconds, _LONGEST_SECONDS))
        with self._lock:
            self._denials[storage, limit] = denial
            self._denials.move_to_end((storage, limit))
            if len(self._denials) > self._size:
                self._denials.popitem(last=False)

    def find(self, storage: str, limit: int, cost: int) -> float:
        """Return the seconds for which `cost` is known not to fit, or 0."""
        denial = self._denials.get((storage, limit))
        if denial is None or cost < denial.cost:
            return 0.0
        now = self._clock()
        if now < denial.believed_until:
            return denial.free_at - now
        with self._lock:
            self._denials.pop((storage, limit), None)
        return 0.0

    def forget(self, storage: str) -> None:
        with self._lock:
            for name in [name for name in self._denials if name[0] == storage]:
                del self._denials[name]

    def __len__(self) -> int:
        return len(self._denials)
