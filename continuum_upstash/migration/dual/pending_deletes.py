"""Deletes that failed on one side of a migration, to be repeated. One list for each process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from continuum_upstash.migration.dual.sides import Side

MAX_PENDING: Final = 1_000
BATCH: Final = 100
_FIRST_RETRY_SECONDS: Final = 1.0
_MAX_RETRY_SECONDS: Final = 30.0

PendingKey = tuple[Any, int | None]  # the key and the version that a caller has passed


class PendingDeletes:
    """The keys whose values on one side are outdated, since a write or delete of them failed.

    Until the delete has been repeated, this process does not read the key from that side. Any
    number of threads may use it.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[Side, dict[PendingKey, None]] = {side: {} for side in Side}
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._due_at = 0.0

    def add(self, side: Side, keys: Iterable[PendingKey]) -> int:
        """Add keys to delete on a side; return how many older ones were dropped for them."""
        with self._lock:
            pending = self._keys[side]
            if not any(self._keys.values()):
                self._due_at = self._clock() + self._retry_seconds
            for key in keys:
                pending.pop(key, None)
                pending[key] = None
            dropped = len(pending) - MAX_PENDING
            for key in list(pending)[: max(dropped, 0)]:
                del pending[key]
        return max(dropped, 0)

    def is_pending(self, side: Side, key: Any, version: int | None) -> bool:
        """Return whether the value of a key on a side is outdated."""
        pending = self._keys[side]
        return bool(pending) and (key, version) in pending

    def discard(self, side: Side, keys: Iterable[PendingKey]) -> None:
        """Remove keys that have been written or deleted on a side."""
        pending = self._keys[side]
        if pending:
            with self._lock:
                for key in keys:
                    pending.pop(key, None)

    def clear(self, side: Side) -> None:
        """Remove all keys of a side that was cleared."""
        with self._lock:
            self._keys[side].clear()

    def is_due(self) -> bool:
        """Return whether deletes should be repeated now."""
        return any(self._keys.values()) and self._clock() >= self._due_at

    def take(self) -> list[tuple[Side, int | None, list[Any]]]:
        """Return keys to delete now, by side and version. They stay pending until `discard`."""
        with self._lock:
            self._due_at = self._clock() + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, _MAX_RETRY_SECONDS)
            groups: dict[tuple[Side, int | None], list[Any]] = defaultdict(list)
            for side, pending in self._keys.items():
                for key, version in list(pending)[:BATCH]:
                    groups[side, version].append(key)
        return [(side, version, keys) for (side, version), keys in groups.items()]

    def report_success(self) -> None:
        """Repeat the remaining deletes without a growing delay: the side is available again."""
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._due_at = self._clock()
