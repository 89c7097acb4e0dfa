"""A bounded copy of some of a database's values in the process.

The copies are stored bytes: each caller decodes its own value. A key has a copy for a few seconds
only if a configured prefix matches it, and not longer than its value is fresh. Missing keys are not
copied, nor are numbers: they may be counters, which other processes change.

get_or_set reads a value together with its lease and the tokens of its tags. A copy contains the
tokens that were read with it, and get_or_set gets both only if the value was valid with them.
Otherwise a value that another process has just computed could seem invalid.

While a key is read or written, the same process may write it again. Therefore each read and write
claims its keys, the end of a write revokes the claims of others, and only what is still claimed is
copied.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from continuum_upstash.codec.envelope import peek_envelope
from continuum_upstash.config.resolve import Config
from continuum_upstash.keys import LEASE_KEYS, RESERVED_KEYS, TAG_KEYS
from continuum_upstash.plans.envelopes import get_unix_ms
from continuum_upstash.protocol import Reply

# Before its time, a value may be refreshed early by any process. Callers decide on it at random,
# by how long computing the value takes (cache/early.py); with a copy they would refresh it again.
_COMPUTATIONS_AHEAD = 10
_ENTRY_BYTES = 200  # what an entry takes besides its key and its value


class _Copy(NamedTuple):
    """
    Attributes:
        data: the stored bytes.
        until: monotonic seconds.
        tokens: by the key of the tag, as read with the value.
        is_valid: whether the tokens of all tags of the value were read with it.
    """

    data: bytes
    until: float
    tokens: Mapping[str, bytes]
    is_valid: bool


class Claim(NamedTuple):
    """The keys whose values a read or write may copy when it ends.

    Attributes:
        keys: as they stand in the command.
        started: when it began, in monotonic seconds.
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
        self._factor = 1.0
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

    def set_factor(self, factor: float) -> None:
        """Keep new copies this many times as long as configured.

        If that is less than before, all copies are dropped.
        """
        with self._lock:
            if factor < self._factor:
                self.invalidate(None)
            self._factor = factor

    def find(self, key: object) -> bytes | None:
        """Return the copy of a key's value, or None."""
        copy = self._find(key)
        return None if copy is None else copy.data

    def find_protected(self, keys: Sequence[object]) -> list[Reply] | None:
        """Return the replies to an MGET of a value, its lease and the tokens of its tags, or None.

        The lease, which matters only to a caller that computes, counts as missing.
        """
        values = [key for key in keys if not is_reserved(key)]
        copy = self._find(values[0])
        if copy is None or not copy.is_valid or len(values) > 1:
            return None
        replies: list[Reply] = [
            copy.data if key == values[0] else copy.tokens.get(str(key)) for key in keys
        ]
        pairs = zip(keys, replies, strict=True)
        return (
            None if any(reply is None and not _is_lease(key) for key, reply in pairs) else replies
        )

    def _find(self, key: object) -> _Copy | None:
        copy = self._copies.get(key)  # type: ignore[call-overload]  # any key may be looked up
        return copy if copy is not None and self._clock() < copy.until else None

    def claim(self, keys: Sequence[object]) -> Claim:
        """Return the claim of a read or write that begins now.

        `add`, `replace` or `release` ends it.
        """
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
        tags = {key: value for key, value in found.items() if _is_tag(key)}
        with self._lock:
            claimed = self.release(claim)
            if tags.keys() <= set(claimed):
                for key in claimed:
                    self._add(key, found[key], claim.started, tags)

    def replace(
        self, claim: Claim, values: Sequence[bytes | None], ttls_ms: Sequence[int | None]
    ) -> None:
        """End the claim of a write, drop the copies, and copy what was stored.

        Args:
            claim: the write's. It is revoked if another read or write of a key began meanwhile:
                then it is unknown which value the server has.
            values: what was stored under each key of the claim; None: nothing.
            ttls_ms: the lifetime of each value; None: no expiry.
        """
        with self._lock:
            claimed = self.release(claim)
            self.invalidate(map(str, claim.keys))
            for key, data, ttl_ms in zip(claim.keys, values, ttls_ms, strict=True):
                if data is not None and isinstance(key, str) and key in claimed:
                    self._add(key, data, claim.started, {}, ttl_ms)

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
                if _is_tag(key):
                    for name in [n for n, copy in self._copies.items() if key in copy.tokens]:
                        self._remove(name)

    def _add(
        self,
        key: str,
        data: Reply,
        started: float,
        tags: Mapping[object, Reply],
        ttl_ms: int | None = None,
    ) -> None:
        """Copy a value, if it is one that may be copied."""
        self._remove(key)
        match = self._match(key)
        if match is None or match.lastindex is None or is_reserved(key):
            return
        if not isinstance(data, bytes) or data[:1] in b"-0123456789":
            return
        try:
            envelope = peek_envelope(data)
        except ValueError:
            return
        seconds = self._seconds[match.lastindex - 1] * self._factor
        if ttl_ms is not None:
            seconds = min(seconds, ttl_ms / 1000)
        if envelope.fresh_until_ms:
            left_ms = envelope.fresh_until_ms - self._now_ms()
            left_ms -= _COMPUTATIONS_AHEAD * envelope.compute_ms
            seconds = min(seconds, left_ms / 1000)
        tokens = {f"{TAG_KEYS}{tag}": token for tag, token in envelope.tokens.items()}
        if seconds > 0 and tags.items() <= tokens.items():
            self._keep(key, _Copy(data, started + seconds, tokens, len(tags) == len(tokens)))

    def _keep(self, key: str, copy: _Copy) -> None:
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
    return _ENTRY_BYTES * (1 + len(copy.tokens)) + 4 * len(key) + len(copy.data)


def is_reserved(key: object) -> bool:
    """Return whether a key is one of this package's own."""
    return isinstance(key, str) and key.startswith(RESERVED_KEYS)


def _is_lease(key: object) -> bool:
    return isinstance(key, str) and key.startswith(LEASE_KEYS)


def _is_tag(key: object) -> bool:
    return isinstance(key, str) and key.startswith(TAG_KEYS)
