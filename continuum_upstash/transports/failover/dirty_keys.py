"""Keys changed locally during an outage; they are UNLINKed before the server is read again.

A dirty key is never read from the database. A batch that names one is preceded by an UNLINK
(`flush_for`) in a round trip of its own, so that an error leaves no doubt about the batch itself.
One caller at a time also unlinks some other dirty keys, so that the set becomes empty even if
those keys are never used again.

The set is bounded. If it holds too many keys, they are replaced by *prefixes*, short enough to be
few. A key with such a prefix counts as dirty until a SCAN over the prefixes' common prefix has
unlinked all such keys.

A key is removed from the set only if it was not marked again after its UNLINK was sent, which the
version numbers show. It is removed only after its local copy: from then on, other processes' writes
in the database are newer than any local value.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from os.path import commonprefix
from time import monotonic
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.keys import escape_glob
from continuum_upstash.plans.effects import Batch, Plan, call
from continuum_upstash.plans.scan import KeyScan
from continuum_upstash.transports.service_errors import is_fatal

MAX_KEYS: Final = 10_000
MAX_CHARACTERS: Final = 4 * 1024 * 1024  # of all names; keys can be long
MAX_PREFIX: Final = 256  # characters
SWEEP_KEYS: Final = 1_000

_BY_PREFIX: Final = 0  # the version of a key that is dirty only because of its prefix


class DirtyKeys:
    """The dirty keys of one database, for all threads and event loops of a process.

    Args:
        sweep_timeout: seconds after which another caller may unlink other callers' keys if the
            current one has not finished.
        drop_local: removes these keys from the local store, or all keys if it is called with None.
        clock: monotonic seconds.
        max_keys: the largest number of single keys; beyond it, prefixes are stored.

    Attributes:
        has_pending: whether any key is dirty.
    """

    def __init__(
        self,
        sweep_timeout: float,
        drop_local: Callable[[Iterable[str] | None], None],
        clock: Callable[[], float] = monotonic,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._sweep_timeout, self._drop_local = sweep_timeout, drop_local
        self._clock, self._max_keys = clock, max_keys
        # Reentrant: a signal handler that uses the cache may interrupt this thread here.
        self._lock = threading.RLock()
        self._version = 0
        self._versions: dict[str, int] = {}
        self._characters = 0
        self._prefixes: set[str] = set()
        self._prefix_length = sys.maxsize
        self._cursor = "0"
        self._sweep_lease_until = clock()
        self.has_pending = False

    def __len__(self) -> int:
        """Return the number of stored keys and prefixes."""
        return len(self._versions) + len(self._prefixes)

    def __contains__(self, key: str) -> bool:
        return key in self._versions or key[: self._prefix_length] in self._prefixes

    def mark(self, keys: Iterable[str]) -> None:
        """Add keys that were changed in the local store, or perhaps in the database."""
        with self._lock:
            self._version += 1
            for key in keys:
                if key not in self._versions:
                    self._characters += len(key)
                self._versions[key] = self._version
                if len(self._versions) > self._max_keys or self._characters > MAX_CHARACTERS:
                    self._collapse_to_prefixes()
            self.has_pending = bool(self._versions or self._prefixes)

    def flush_for(self, batch: Batch) -> Plan[None]:
        """Unlink the dirty keys that the batch names, and some others.

        Only its own keys are unlinked ahead of a batch that the local store cannot serve: locks
        and rate limits have deadlines of their own.

        Raises:
            ReplyError: the server refused to unlink the batch's keys, or runs no command; the keys
                stay dirty. If it only refused to unlink others, the batch can be sent.
        """
        if batch.needs_server or not self._claim_sweep():
            yield from self._unlink(self._dirty_keys_in(batch))
            return
        own, pause = self._dirty_keys_in(batch), 0.0
        try:
            yield from self._unlink(own | self._next_keys())
            if self._prefixes:
                yield from self._sweep_page()
        except ReplyError as error:
            if own or is_fatal(error):
                raise
            pause = self._sweep_timeout
        finally:
            self._sweep_lease_until = self._clock() + pause

    def _claim_sweep(self) -> bool:
        with self._lock:
            now = self._clock()
            if now < self._sweep_lease_until:
                return False
            self._sweep_lease_until = now + self._sweep_timeout
            return True

    def _next_keys(self) -> dict[str, int]:
        with self._lock:
            return dict(islice(self._versions.items(), SWEEP_KEYS))

    def _dirty_keys_in(self, batch: Batch) -> dict[str, int]:
        """Return the batch's dirty keys. An option with the name of a dirty key does no harm."""
        with self._lock:
            return {
                part: self._versions.get(part, _BY_PREFIX)
                for command in batch.commands
                for part in command[1:]
                if isinstance(part, str) and part in self
            }

    def _unlink(self, keys: dict[str, int]) -> Plan[None]:
        if not keys:
            return
        yield from call("UNLINK", *keys)
        with self._lock:
            clean = [
                key
                for key, version in keys.items()
                if self._versions.get(key, _BY_PREFIX) == version
            ]
            self._drop_local(clean)
            for key in clean:
                if self._versions.pop(key, None) is not None:
                    self._characters -= len(key)
            self.has_pending = bool(self._versions or self._prefixes)

    def _collapse_to_prefixes(self) -> None:
        """Replace the keys by prefixes, at most half as many as the allowed number of keys."""
        names = self._prefixes | self._versions.keys()
        longest = min(max(map(len, names)), self._prefix_length, MAX_PREFIX)
        length = bisect_right(
            range(1, longest + 1),
            self._max_keys // 2,
            key=lambda length: len({name[:length] for name in names}),
        )
        self._prefix_length = max(length, 1)
        self._prefixes = {name[: self._prefix_length] for name in names}
        self._versions.clear()
        self._characters = 0
        self._cursor = "0"

    def _sweep_page(self) -> Plan[None]:
        """Unlink the keys of one SCAN page that have a dirty prefix."""
        with self._lock:
            prefixes, length, cursor = self._prefixes, self._prefix_length, self._cursor
        common = commonprefix(list(prefixes))  # noqa: RUF071 keys are no paths
        scan = KeyScan(escape_glob(common) + "*", cursor=cursor)
        names = yield from scan.fetch_page()
        to_delete = [name for name in names if name[:length] in prefixes]
        if to_delete:
            yield from call("UNLINK", *to_delete)
        with self._lock:
            if prefixes is not self._prefixes or cursor != self._cursor:
                return  # the prefixes changed, or another caller swept this page
            self._cursor = scan.cursor
            if not scan.is_complete:
                return
            self._drop_local(None)
            self._prefixes, self._prefix_length = set(), sys.maxsize
            self.has_pending = bool(self._versions)
