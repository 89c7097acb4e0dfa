"""A bounded copy of some of a database's values in the process.

The copies are stored bytes: each caller decodes its own value. A key has a copy for a few seconds
only if a configured prefix allows it, and not longer than its value is fresh. Not copied are
missing keys, and numbers: they may be counters, which other processes change. The tokens of tags
are copied for the shortest of the configured times, since any key may have the tag.

A read may be overtaken by a write of the same process. Therefore each read claims its keys, a write
revokes the claims, and the read adds only keys that it still claims.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import NamedTuple

from continuum_upstash.codec.envelope import read_times
from continuum_upstash.config.resolve import Config
from continuum_upstash.keys import RESERVED_KEYS, TAG_KEYS
from continuum_upstash.plans.envelopes import get_unix_ms
from continuum_upstash.protocol import Reply

# Before its time, a value may be refreshed early by any process. Callers decide on it at random,
# by how long computing the value takes (cache/early.py); with a copy they would refresh it again.
_COMPUTATIONS_AHEAD = 10
_ENTRY_BYTES = 200  # what an entry takes besides its key and its value


class _Copy(NamedTuple):
    data: bytes
    until: float  # monotonic seconds


class Claim(NamedTuple):
    """The keys that a read may add when it ends.

    Attributes:
        keys: as they stand in the command.
        started: when the read began, in monotonic seconds.
    """

    keys: Sequence[object]
    started: float


class NearCache:
    """The copies of one database's values, for all threads and event loops of a process.

    The lock is never held during I/O, and `find` needs none.

    Args:
        config: with at least one prefix in `near`.
        clock: monotonic seconds.
        now_ms: Unix milliseconds.
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = monotonic,
        now_ms: Callable[[], int] = get_unix_ms,
    ) -> None:
        by_length = sorted(config.near, key=lambda item: -len(item[0]))
        prefixes = "|".join(f"({re.escape(prefix)})" for prefix, _ in by_length)
        self._match = re.compile(f"{config.near_scope}(?:{prefixes})", re.DOTALL).match
        self._seconds = [seconds for _, seconds in by_length]
        self._max_entries, self._max_bytes = config.near_max_entries, config.near_max_bytes
        self._clock, self._now_ms = clock, now_ms
        self._lock = threading.RLock()  # re-entrant: a signal handler may use the cache
        self._copies: dict[str, _Copy] = {}  # the oldest first
        self._bytes = 0
        self._claims: dict[str, Claim] = {}

    def __len__(self) -> int:
        """Return the number of copies, including outdated ones."""
        return len(self._copies)

    @property
    def size(self) -> int:
        """The size of the copies in bytes, estimated."""
        return self._bytes

    def find(self, key: object) -> bytes | None:
        """Return the copy of a key's value, or None."""
        copy = self._copies.get(key)  # type: ignore[call-overload]  # any key may be looked up
        return copy.data if copy is not None and self._clock() < copy.until else None

    def claim(self, keys: Sequence[object]) -> Claim:
        """Return the claim of a read that begins now; `release` or `add` ends it."""
        claim = Claim(keys, self._clock())
        with self._lock:
            for key in keys:
                if isinstance(key, str):
                    self._claims[key] = claim
        return claim

    def release(self, claim: Claim) -> list[str]:
        """End a claim; return the keys that are still claimed."""
        claimed: list[str] = []
        with self._lock:
            for key in claim.keys:
                if isinstance(key, str) and self._claims.get(key) is claim:
                    del self._claims[key]
                    claimed.append(key)
        return claimed

    def add(self, claim: Claim, values: Sequence[Reply]) -> None:
        """End a claim, and copy the values of the keys that are still claimed.

        Args:
            claim: the read's.
            values: the value of each key of the claim.
        """
        found = dict(zip(claim.keys, values, strict=True))
        with self._lock:
            for key in self.release(claim):
                data = found[key]
                if isinstance(data, bytes):
                    seconds = self._get_seconds(key, data)
                    if seconds > 0:
                        self._add(key, _Copy(data, claim.started + seconds))

    def invalidate(self, keys: Iterable[str] | None) -> None:
        """Drop the copies of these keys, or of all keys if None, and revoke the claims."""
        with self._lock:
            if keys is None:
                self._copies.clear()
                self._claims.clear()
                self._bytes = 0
                return
            for key in keys:
                self._claims.pop(key, None)
                self._remove(key)

    def _get_seconds(self, key: str, data: bytes) -> float:
        """Return how long a copy of the key's value may be returned; 0 or less: never."""
        if key.startswith(TAG_KEYS):
            return min(self._seconds)
        match = self._match(key)
        if match is None or match.lastindex is None or key.startswith(RESERVED_KEYS):
            return 0
        if data[:1] in b"-0123456789":
            return 0
        seconds = self._seconds[match.lastindex - 1]
        fresh_until_ms, compute_ms = read_times(data)
        if not fresh_until_ms:
            return seconds
        left_ms = fresh_until_ms - self._now_ms() - _COMPUTATIONS_AHEAD * compute_ms
        return min(seconds, left_ms / 1000)

    def _add(self, key: str, copy: _Copy) -> None:
        self._remove(key)
        size = _get_size(key, copy)
        if size > self._max_bytes:
            return
        self._copies[key] = copy
        self._bytes += size
        while len(self._copies) > self._max_entries or self._bytes > self._max_bytes:
            self._remove(next(iter(self._copies)))

    def _remove(self, key: str) -> None:
        copy = self._copies.pop(key, None)
        if copy is not None:
            self._bytes -= _get_size(key, copy)


def _get_size(key: str, copy: _Copy) -> int:
    return _ENTRY_BYTES + 4 * len(key) + len(copy.data)
