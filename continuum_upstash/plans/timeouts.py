"""Timeouts of keys: seconds, as users write them, to milliseconds, as in Redis commands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar, overload

V = TypeVar("V")

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
    if seconds * 1000 >= _MAX_TTL_MS:
        return _MAX_TTL_MS
    if math.isnan(seconds):
        raise ValueError("A time to live is a number of seconds, not NaN.")
    return math.ceil(seconds * 1000)


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

    def group_by_ttl_ms(
        self, values: Mapping[Any, V], names: Sequence[str], timeout: Any
    ) -> dict[int | None, dict[str, V]]:
        """Return values that are set together, by their milliseconds and then by their names.

        With TTL_BY_PREFIX, keys of one call may expire at different times: one round trip each.

        Args:
            values: by key, see `get_ttl_ms`.
            names: the full key of each key.
            timeout: see `get_ttl_ms`.
        """
        if not values:
            return {}
        if timeout is not self._unset or not self._by_prefix:
            return {self.get_ttl_ms("", timeout): dict(zip(names, values.values(), strict=True))}
        groups: dict[int | None, dict[str, V]] = {}
        for name, (key, value) in zip(names, values.items(), strict=True):
            groups.setdefault(self.get_ttl_ms(key, timeout), {})[name] = value
        return groups
