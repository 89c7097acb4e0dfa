"""A timeout in seconds, as Django takes it, to milliseconds, as Redis does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from django.core.cache.backends.base import DEFAULT_TIMEOUT

Timeout: TypeAlias = float | None

# Some 140,000 years; with more, Redis' own clock arithmetic overflows and it answers an error.
_MAX_PX = 2**52


class Timeouts:
    """The lifetimes of one alias.

    Args:
        default: seconds for keys that are set without a timeout; None: for ever.
        by_prefix: (key prefix, seconds) for such keys that begin with the prefix.
    """

    def __init__(self, default: Timeout, by_prefix: Sequence[tuple[str, Timeout]] = ()) -> None:
        self._default = milliseconds(default)
        # The longest prefix that fits decides.
        self._by_prefix = [
            (prefix, milliseconds(ttl))
            for prefix, ttl in sorted(by_prefix, key=lambda pair: -len(pair[0]))
        ]

    def px(self, key: Any, timeout: Timeout) -> int | None:
        """Return the milliseconds for a key; None: for ever; 0: not for a moment."""
        if timeout is not DEFAULT_TIMEOUT:
            return milliseconds(timeout)
        if self._by_prefix:
            text = str(key)
            for prefix, px in self._by_prefix:
                if text.startswith(prefix):
                    return px
        return self._default


def milliseconds(timeout: Timeout) -> int | None:
    """Return whole milliseconds; a fraction of one counts as one.

    Raises:
        TypeError: it is no number.
        ValueError: it is not a number (NaN).
    """
    if timeout is None:
        return None
    if timeout <= 0:
        return 0
    if math.isnan(timeout):
        raise ValueError("a timeout is seconds, not NaN")
    return math.ceil(min(timeout * 1000, _MAX_PX))
