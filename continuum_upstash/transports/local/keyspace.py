"""Keys, their values, their ends and their bounds: what the commands of the local store work on.

Nothing here knows a command's name or takes a lock: `LocalTransport` holds one lock per batch.

- `_entries` is in order of use, so its head is what LRU evicts.
- `_slots` gives every key a place that it keeps for life, whatever is read or evicted meanwhile:
  a SCAN cursor is an index into it. Freed places are taken again.
- `_ends` is a heap of (end, slot). An item is stale when its key got another end or left; stale
  items are skipped, and dropped together once they outnumber the entries.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Sized
from typing import Any, Final, TypeVar

from continuum_upstash.errors import CapacityExceeded, ReplyError

C = TypeVar("C", bound=Sized)

# What a key and a member of a collection cost beside their bytes (RSS, CPython 3.11, with ends).
ENTRY_BYTES: Final = 450
MEMBER_BYTES: Final = 200

# So that many keys that end together cost each later write a little, not one write everything.
_PURGED_PER_WRITE: Final = 16


class Entry:
    """A key's value and its end: ms since the epoch, or None."""

    __slots__ = ("end", "size", "slot", "value")

    def __init__(self, value: Any, end: int | None, size: int, slot: int) -> None:
        self.value = value
        self.end = end
        self.size = size
        self.slot = slot


class Keyspace:
    """A bounded store with Redis' expiry: a key is gone once the clock is past its end.

    The clock is read once per batch (`tick`), as Redis does per transaction and script. It is the
    wall clock, since EXPIREAT speaks of it: a clock that is set moves the ends, as on a server.

    Args:
        max_entries: most keys.
        max_bytes: most bytes of keys, values and members, `ENTRY_BYTES` per key and
            `MEMBER_BYTES` per member of a collection included.
        clock: seconds since the epoch.
    """

    def __init__(self, max_entries: int, max_bytes: int, clock: Callable[[], float]) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._clock = clock
        self.hits = self.misses = self.expired = self.evicted = 0
        self.clear()
        self.tick()

    def tick(self) -> None:
        self.now = int(self._clock() * 1000)

    def clear(self) -> None:
        self.used_bytes = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._slots: list[bytes | None] = []
        self._free: list[int] = []
        self._ends: list[tuple[int, int]] = []

    def __len__(self) -> int:
        self._purge(len(self._ends))
        return len(self._entries)

    def with_end(self) -> int:
        """Return how many keys have an end."""
        return sum(entry.end is not None for entry in self._entries.values())

    def peek(self, key: bytes) -> Entry | None:
        """Return a key's entry without counting this as a use of it."""
        entry = self._entries.get(key)
        if entry is not None and entry.end is not None and entry.end < self.now:
            self._expire(key)
            return None
        return entry

    def read(self, key: bytes) -> Entry | None:
        """Return a key's entry; it is now the last that would be evicted."""
        entry = self._entries.get(key)
        if entry is None or (entry.end is not None and self.peek(key) is None):
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return entry

    def string(self, key: bytes) -> bytes | None:
        """Return a string's value.

        Raises:
            ReplyError: WRONGTYPE.
        """
        entry = self.read(key)
        if entry is None:
            return None
        value = entry.value
        if type(value) is not bytes:
            raise wrong_type()
        return value

    def collection(self, key: bytes, kind: type[C]) -> C:
        """Return a collection, or an empty one that is not stored: see `grow`.

        Raises:
            ReplyError: WRONGTYPE.
        """
        entry = self.read(key)
        if entry is None:
            return kind()
        value = entry.value
        if type(value) is not kind:
            raise wrong_type()
        return value

    def put(self, key: bytes, value: bytes, end: int | None = None) -> None:
        """Store a string in place of whatever the key held.

        Raises:
            CapacityExceeded: it can never fit; the old value stays.
        """
        self._place(key, value, end, self.require(key, len(value)))

    def grow(self, key: bytes, value: Sized, growth: int) -> None:
        """Make room for what a collection just read is to take in; store it if it is new.

        Raises:
            CapacityExceeded: it can never fit; nothing has changed.
        """
        entry = self._entries.get(key)
        if entry is None:
            self._place(key, value, None, self.require(key, growth))
            return
        self._check(entry.size + growth)
        self._account(entry, growth)
        self._make_room()

    def shrink(self, key: bytes, value: Sized, loss: int) -> None:
        """Take note of what a collection has lost; an empty one is no key any more."""
        if not value:
            self.remove(key)
        else:
            self._account(self._entries[key], -loss)

    def require(self, key: bytes, value_bytes: int) -> int:
        """Return what an entry will cost.

        Raises:
            CapacityExceeded: more than the whole store may hold.
        """
        size = len(key) + value_bytes + ENTRY_BYTES
        self._check(size)
        return size

    def set_end(self, entry: Entry, end: int | None) -> None:
        entry.end = end
        if end is not None:
            self._remember_end(end, entry.slot)

    def remove(self, key: bytes) -> bool:
        if self.peek(key) is None:
            return False
        self._drop(key)
        return True

    def rename(self, key: bytes, new: bytes) -> None:
        """Move an entry that is there, with its end, over whatever `new` held."""
        entry = self._entries[key]
        size = entry.size - len(key) + len(new)
        self._check(size)
        self._drop(key)
        self._place(new, entry.value, entry.end, size)

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor, 0 at the end, and about `count` keys.

        A key that is there from the first page to the last is returned, since it keeps its slot.
        Empty slots are work, too: at most ten times `count` slots are looked at.
        """
        found: list[bytes] = []
        stop = min(len(self._slots), cursor + 10 * count)
        while cursor < stop and len(found) < count:
            key = self._slots[cursor]
            cursor += 1
            if key is not None and self.peek(key) is not None:
                found.append(key)
        return (cursor if cursor < len(self._slots) else 0), found

    def _place(self, key: bytes, value: Any, end: int | None, size: int) -> None:
        entry = self._entries.get(key)
        if entry is None:
            slot = self._free.pop() if self._free else len(self._slots)
            if slot == len(self._slots):
                self._slots.append(key)
            else:
                self._slots[slot] = key
            entry = self._entries[key] = Entry(value, end, 0, slot)
        else:
            entry.value = value
            entry.end = end
            self._entries.move_to_end(key)
        self._account(entry, size - entry.size)
        if end is not None:
            self._remember_end(end, entry.slot)
        self._make_room()

    def _account(self, entry: Entry, growth: int) -> None:
        entry.size += growth
        self.used_bytes += growth

    def _check(self, size: int) -> None:
        if size > self.max_bytes:
            raise CapacityExceeded(
                f"OOM command not allowed: one key would take {size} bytes of a local store of "
                f"{self.max_bytes}. Store smaller values or raise LOCAL_MAX_BYTES."
            )

    def _make_room(self) -> None:
        self._purge(_PURGED_PER_WRITE)
        while len(self._entries) > self.max_entries or self.used_bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))
            self.evicted += 1

    def _remember_end(self, end: int, slot: int) -> None:
        heapq.heappush(self._ends, (end, slot))
        if len(self._ends) > 2 * len(self._entries) + 64:
            self._ends = [
                (entry.end, entry.slot) for entry in self._entries.values() if entry.end is not None
            ]
            heapq.heapify(self._ends)

    def _purge(self, most: int) -> None:
        ends = self._ends
        while most and ends and ends[0][0] < self.now:
            end, slot = heapq.heappop(ends)
            key = self._slots[slot]
            # Whichever key sits there now, it has ended if this is its end.
            if key is not None and self._entries[key].end == end:
                self._expire(key)
            most -= 1

    def _expire(self, key: bytes) -> None:
        self._drop(key)
        self.expired += 1

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        self.used_bytes -= entry.size
        self._slots[entry.slot] = None
        self._free.append(entry.slot)


def wrong_type() -> ReplyError:
    return ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
