"""Identities known to be blocked, and until when.

They are denied without a command. @upstash/ratelimit calls this its ephemeral cache.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from continuum_upstash.ratelimit.engine.script import Charge, Counter

_MAX_TRUST_SECONDS: Final = 60.0

_EntryKey: TypeAlias = tuple[Counter, int]  # a charge's counter and limit


class _Blocked(NamedTuple):
    cost: int
    since: float
    free_at: float
    trusted_until: float


class EphemeralCache:
    """A bounded, thread-safe cache of charges that do not fit.

    An entry is used for at most one minute. After that, a command is sent again, so that a reset by
    another process takes effect.

    Args:
        size: the maximum number of entries; the oldest ones are dropped.
        clock: returns seconds.
    """

    def __init__(self, size: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._size, self._clock = size, clock
        self._entries: OrderedDict[_EntryKey, _Blocked] = OrderedDict()
        # Re-entrant: a signal handler may interrupt its own thread while it holds the lock.
        self._lock = threading.RLock()

    def block(self, charge: Charge, seconds: float) -> None:
        """Store that a charge, and any with a higher cost, does not fit for some seconds."""
        now, key = self._clock(), (charge.counter, charge.limit)
        entry = _Blocked(charge.cost, now, now + seconds, now + min(seconds, _MAX_TRUST_SECONDS))
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def get_blocked_seconds(self, charge: Charge) -> float:
        """Return the seconds until a charge can fit; 0: that is unknown."""
        if not self._entries:
            return 0.0
        key = (charge.counter, charge.limit)
        entry = self._entries.get(key)
        if entry is None or charge.cost < entry.cost:
            return 0.0
        now = self._clock()
        if entry.since <= now < entry.trusted_until:  # a wall clock may be set back
            return entry.free_at - now
        with self._lock:
            self._entries.pop(key, None)
        return 0.0

    def clear(self, key_prefix: str) -> None:
        """Drop the entries of the counters whose keys have a prefix."""
        with self._lock:
            for key in [each for each in self._entries if each[0][0] == key_prefix]:
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)
