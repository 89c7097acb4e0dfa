"""Timeouts of cache keys: seconds, as in Django, to milliseconds, as in Redis commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from continuum_upstash.plans.keyvalue import to_ms

Timeout: TypeAlias = float | None


class Timeouts:
    """The default timeouts of one alias.

    Args:
        default: seconds for keys that are set without a timeout; None: no expiry.
        by_prefix: (key prefix, seconds) for such keys; the longest matching prefix is used.
    """

    def __init__(self, default: Timeout, by_prefix: Sequence[tuple[str, Timeout]] = ()) -> None:
        self._default = to_ms(default)
        self._by_prefix = [
            (prefix, to_ms(ttl))
            for prefix, ttl in sorted(by_prefix, key=lambda item: -len(item[0]))
        ]

    def get_ttl_ms(self, key: Any, timeout: Timeout) -> int | None:
        """Return the milliseconds for a key; None: no expiry, 0: expires immediately."""
        if timeout is not DEFAULT_TIMEOUT:
            return to_ms(timeout)
        if self._by_prefix:
            text = str(key)
            for prefix, ttl_ms in self._by_prefix:
                if text.startswith(prefix):
                    return ttl_ms
        return self._default
