"""How many streams are open in this process: in total, per user and per address."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from continuum_upstash.transports.registry import get_process_state

TOTAL: Final = "process"


class OpenStreams:
    """Counts open streams by what they are limited by; any number of threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    @contextmanager
    def open(self, limits: Mapping[str, int]) -> Iterator[str | None]:
        """Yield None and count a stream in the block; or yield the key whose limit is reached."""
        with self._lock:
            full = next((key for key, limit in limits.items() if self._counts[key] >= limit), None)
            if full is None:
                self._counts.update(limits.keys())
        try:
            yield full
        finally:
            if full is None:
                with self._lock:
                    self._counts.subtract(limits.keys())
                    for key in limits:
                        if not self._counts[key]:
                            del self._counts[key]

    def get_count(self, key: str) -> int:
        with self._lock:
            return self._counts[key]


def count_open_streams() -> int:
    """Return how many streams are open in this process."""
    return get_process_state(OpenStreams).get_count(TOTAL)
