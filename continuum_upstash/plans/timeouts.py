"""Timeouts of keys: seconds, as users write them, to milliseconds, as in Redis commands."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar, overload

K = TypeVar("K")

Timeout: TypeAlias = float | None


class DefaultTtl(Enum):
    """The type of `DEFAULT_TTL`."""

    DEFAULT_TTL = "default"


DEFAULT_TTL: Final = DefaultTtl.DEFAULT_TTL
"""The `ttl` of a plain client's key that is set without one."""

Ttl: TypeAlias = float | DefaultTtl | None


# 140,000 years. Redis rejects times that overflow its clock arithmetic.
_MAX_TTL_MS: Final = 2**52


@overload
def to_ms(seconds: float) -> int: ...
@overload
def to_ms(seconds: None) -> None: ...
def to_ms(seconds: float | None) -> int | None:
    """Return a time to live in whole milliseconds, rounded up; None: no expiry.

    Raises:
        TypeError: `seconds` is not a number.
        ValueError: `seconds` is NaN.
    """
    if seconds is None:
        return None
    if seconds <= 0:
        return 0
    if math.isnan(seconds):
        raise ValueError("A time to live is a number of seconds, not NaN.")
    return math.ceil(min(seconds * 1000, _MAX_TTL_MS))


class Timeouts:
    """The timeouts of keys that are set without one.

    Args:
        default: seconds; None: no expiry.
        by_prefix: (key prefix, seconds) instead of the default; the longest matching prefix is
            used.
        unset: the timeout that means: set without one.
    """

    def __init__(
        self,
        default: Timeout,
        by_prefix: Sequence[tuple[str, Timeout]] = (),
        unset: object = DEFAULT_TTL,
    ) -> None:
        self._default = to_ms(default)
        self._by_prefix = [
            (prefix, to_ms(ttl))
            for prefix, ttl in sorted(by_prefix, key=lambda item: -len(item[0]))
        ]
        self._unset = unset

    def get_ttl_ms(self, key: Any, timeout: Any) -> int | None:
        """Return the milliseconds for a key; None: no expiry, 0: expires immediately.

        Args:
            key: without the prefix and version of a Django cache.
            timeout: seconds, None, or `unset`.
        """
        if timeout is not self._unset:
            ttl_ms: int | None = to_ms(timeout)
            return ttl_ms
        if self._by_prefix:
            text = str(key)
            for prefix, prefix_ttl_ms in self._by_prefix:
                if text.startswith(prefix):
                    return prefix_ttl_ms
        return self._default

    def group_by_ttl_ms(self, keys: Collection[K], timeout: Any) -> dict[int | None, Collection[K]]:
        """Return keys that are set together by their milliseconds, see `get_ttl_ms`.

        With TTL_BY_PREFIX, keys of one call may expire at different times: one round trip each.
        """
        if not keys:
            return {}
        if timeout is not self._unset or not self._by_prefix:
            return {self.get_ttl_ms("", timeout): keys}
        groups: dict[int | None, list[K]] = {}
        for key in keys:
            groups.setdefault(self.get_ttl_ms(key, timeout), []).append(key)
        return {**groups}
