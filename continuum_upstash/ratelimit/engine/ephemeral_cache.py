"""Identities known to be blocked, and until when.

They are refused without a command. @upstash/ratelimit calls this its ephemeral cache.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from continuum_upstash.ratelimit.engine.decision import Verdict
from continuum_upstash.ratelimit.engine.script import Charge, Counter

_TRUST_SECONDS: Final = 60.0

_EntryKey: TypeAlias = tuple[Counter, int]  # a charge's counter and limit


class _Blocked(NamedTuple):
    cost: int
    limit: int
    since: float
    free_at: float
    trusted_until: float


class EphemeralCache:
    """A bounded, thread-safe cache of charges that do not fit.

    Args:
        size: the maximum number of entries; the oldest ones are dropped.
        max_trust_seconds: how long an entry is used. After that, a command is sent again, so that a
            reset by another process takes effect.
        clock: returns seconds.
    """

    def __init__(
        self,
        size: int = 10_000,
        max_trust_seconds: float = _TRUST_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._size, self._max_trust_seconds, self._clock = size, max_trust_seconds, clock
        self._entries: OrderedDict[_EntryKey, _Blocked] = OrderedDict()
        # Re-entrant: a signal handler may interrupt its own thread while it holds the lock.
        self._lock = threading.RLock()

    def block(self, charge: Charge, seconds: float, limit: int | None = None) -> None:
        """Store that a charge, and any with a higher cost, does not fit for some seconds.

        Args:
            charge: what does not fit.
            seconds: how long.
            limit: the dynamic limit that applied; None: that of the charge.
        """
        now, key = self._clock(), (charge.counter, charge.limit)
        limit = charge.limit if limit is None else limit
        trusted = min(seconds, self._max_trust_seconds)
        entry = _Blocked(charge.cost, limit, now, now + seconds, now + trusted)
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def block_exhausted(self, charges: Sequence[Charge], verdicts: Sequence[Verdict]) -> None:
        """Store the charges of a decision that do not fit, or would not fit again.

        Args:
            charges: all charges of the decision.
            verdicts: the result of each charge.
        """
        if not any(map(_is_exhausted, verdicts)):
            return
        pairs = list(zip(charges, verdicts, strict=True))
        # If the same cost would not fit again, only the database can calculate until when.
        is_wait_known = not any(0 < verdict.remaining < charge.cost for charge, verdict in pairs)
        for charge, verdict in pairs:
            if verdict.retry_after > 0:
                self.block(charge, verdict.retry_after, verdict.limit)
            elif verdict.remaining == 0 and is_wait_known:
                self.block(charge._replace(cost=1), verdict.reset_after, verdict.limit)

    def find_blocked(self, charges: Iterable[Charge]) -> tuple[Verdict, ...]:
        """Return the verdicts of the charges that are known not to fit; empty: none is.

        Each refusal is certain, but its retry_after is a lower bound: only the database can
        calculate when the other policies allow the request, or when a higher cost than the entry's
        fits.
        """
        if not self._entries:
            return ()
        now, verdicts = self._clock(), []
        for charge in charges:
            entry = self._find_entry(charge, now) if charge.cost else None
            if entry is not None:
                seconds = entry.free_at - now
                verdicts.append(Verdict(charge.policy, 0, seconds, seconds, entry.limit))
        return tuple(verdicts)

    def get_blocked_seconds(self, charge: Charge) -> float:
        """Return the seconds until a charge can fit; 0: that is unknown."""
        now = self._clock()
        entry = self._find_entry(charge, now)
        return 0.0 if entry is None else entry.free_at - now

    def _find_entry(self, charge: Charge, now: float) -> _Blocked | None:
        key = (charge.counter, charge.limit)
        entry = self._entries.get(key)
        if entry is None or charge.cost < entry.cost:
            return None
        if entry.since <= now < entry.trusted_until:  # a wall clock may be set back
            return entry
        with self._lock:
            self._entries.pop(key, None)
        return None

    def clear(self, key_prefix: str) -> None:
        """Drop the entries of the counters whose keys have a prefix."""
        with self._lock:
            for key in [each for each in self._entries if each[0][0] == key_prefix]:
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)


def _is_exhausted(verdict: Verdict) -> bool:
    return verdict.remaining == 0 or verdict.retry_after > 0
