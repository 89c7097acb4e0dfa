"""What the database owes us to forget: keys that were changed here while it did not learn of it.

A key in the journal is never read from the database: whoever needs it has the database UNLINK it
first (`unlink_for`), in a round trip of its own, so that a refusal or a broken connection leaves
nothing in doubt. One caller at a time carries some of the others' keys along, so that the journal
empties even where nobody asks for them again.

It is bounded. Too many keys become *heads*: beginnings of keys, so short that they are few. What
begins with a head counts as changed, until a SCAN over the heads' common beginning has unlinked
all such keys.

A key leaves the journal only if it was not changed again since its UNLINK was sent, hence the
numbers; and only after its local copy is gone, for from then on the database is written without us.
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

from continuum_upstash.keys import escape_glob
from continuum_upstash.plans.effects import Batch, Plan, call
from continuum_upstash.plans.scan import KeyScan

MOST_KEYS: Final = 10_000
CARRIED_KEYS: Final = 1_000

_BY_HEAD: Final = 0  # the number of a key that is in the journal by its head alone


class Journal:
    """The journal of one database, for all threads and loops of a process.

    Args:
        lease: seconds that a caller has to carry others' keys before another one may.
        forget: drops these keys from the local store; None: drops everything.
        clock: monotonic seconds.
        most: so many single keys; then heads.

    Attributes:
        owes: whether anything is in it.
    """

    def __init__(
        self,
        lease: float,
        forget: Callable[[Iterable[str] | None], None],
        clock: Callable[[], float] = monotonic,
        most: int = MOST_KEYS,
    ) -> None:
        self._lease, self._forget, self._clock, self._most = lease, forget, clock, most
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._heads: set[str] = set()
        self._head_length = sys.maxsize
        self._cursor = "0"
        self._carried_until = clock()
        self.owes = False

    def __len__(self) -> int:
        """Return how many keys and heads are in it."""
        return len(self._numbers) + len(self._heads)

    def __contains__(self, key: str) -> bool:
        return key in self._numbers or key[: self._head_length] in self._heads

    def note(self, keys: Iterable[str]) -> None:
        """Take note of keys that were changed here and, for all we know, nowhere else."""
        with self._lock:
            self._number += 1
            for key in keys:
                self._numbers[key] = self._number
                if len(self._numbers) > self._most:
                    self._shorten()
            self.owes = bool(self._numbers or self._heads)

    def unlink_for(self, batch: Batch) -> Plan[None]:
        """Have the database forget what the batch must not meet, and some more.

        A batch in a hurry, or one that nobody answers locally, is not held up by others' keys.

        Raises:
            ReplyError: it refused; the keys stay in the journal.
        """
        in_a_hurry = batch.needs_server or batch.deadline_s is not None
        if in_a_hurry or not self._may_carry():
            yield from self._unlink(self._named_in(batch))
            return
        try:
            yield from self._unlink(self._named_in(batch) | self._some())
            if self._heads:
                yield from self._sweep_page()
        finally:
            self._carried_until = self._clock()

    def _may_carry(self) -> bool:
        with self._lock:
            now = self._clock()
            if now < self._carried_until:
                return False
            self._carried_until = now + self._lease
            return True

    def _some(self) -> dict[str, int]:
        with self._lock:
            return dict(islice(self._numbers.items(), CARRIED_KEYS))

    def _named_in(self, batch: Batch) -> dict[str, int]:
        """Return the batch's keys that are in here; if an option is named so, no harm is done."""
        with self._lock:
            return {
                part: self._numbers.get(part, _BY_HEAD)
                for command in batch.commands
                for part in command[1:]
                if isinstance(part, str) and part in self
            }

    def _unlink(self, keys: dict[str, int]) -> Plan[None]:
        if not keys:
            return
        yield from call("UNLINK", *keys)
        with self._lock:
            forgotten = [key for key, no in keys.items() if self._numbers.get(key, _BY_HEAD) == no]
            self._forget(forgotten)
            for key in forgotten:
                self._numbers.pop(key, None)
            self.owes = bool(self._numbers or self._heads)

    def _shorten(self) -> None:
        """Give up single keys for heads, at most half as many as there may be keys."""
        names = self._heads | self._numbers.keys()
        longest = min(max(map(len, names)), self._head_length)
        length = bisect_right(
            range(1, longest + 1),
            self._most // 2,
            key=lambda length: len({name[:length] for name in names}),
        )
        self._head_length = max(length, 1)
        self._heads = {name[: self._head_length] for name in names}
        self._numbers.clear()
        self._cursor = "0"

    def _sweep_page(self) -> Plan[None]:
        """Unlink one SCAN page's worth of what begins with a head."""
        with self._lock:
            heads, length, cursor = self._heads, self._head_length, self._cursor
        beginning = commonprefix(list(heads))  # noqa: RUF071 keys are no paths
        scan = KeyScan(escape_glob(beginning) + "*", cursor=cursor)
        names = yield from scan.next_page()
        doomed = [name for name in names if name[:length] in heads]
        if doomed:
            yield from call("UNLINK", *doomed)
        with self._lock:
            if heads is not self._heads or cursor != self._cursor:
                return  # keys were shortened anew, or somebody else swept this page
            self._cursor = scan.cursor
            if not scan.is_complete:
                return
            self._forget(None)
            self._heads, self._head_length = set(), sys.maxsize
            self.owes = bool(self._numbers)
