"""The keys of the local store with their values and expiries, within bounds.

This module contains no command and takes no lock: `LocalTransport` holds one lock per batch.

- `_entries` is in order of use: its first entry is the least recently used one.
- `_slots` assigns a slot to every key for as long as it exists, whatever else is read or evicted:
  a SCAN cursor is an index into this list. Free slots are reused.
- `_expiry_heap` is a heap of (expiry, slot). An item is stale if its key has another expiry or was
  deleted. Stale items are skipped, and removed together once they outnumber the entries.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sized
from typing import Any, Final, TypeVar

from continuum_upstash.errors import CapacityExceeded, ReplyError
from continuum_upstash.protocol import Reply

C = TypeVar("C", bound=Sized)

# Memory of a key and of a collection's member beyond their bytes (RSS, CPython 3.11, with expiry).
ENTRY_BYTES: Final = 450
MEMBER_BYTES: Final = 200

# If many keys expire together, their removal is spread over the next writes.
_EXPIRED_PER_WRITE: Final = 16


class KeyEntry:
    """A key's value and its expiry in ms since the epoch, or None."""

    __slots__ = ("expires_at", "size", "slot", "value")

    def __init__(self, value: Any, expires_at: int | None, size: int, slot: int) -> None:
        self.value = value
        self.expires_at = expires_at
        self.size = size
        self.slot = slot


class Keyspace:
    """A bounded store. As in Redis, a key is gone once the clock is past its expiry.

    The clock is read once per batch (`tick`), as Redis does once per transaction or script. It is
    the wall clock, because PEXPIREAT takes wall-clock times: setting the system clock changes when
    keys expire, as on a server.

    Args:
        max_entries: the maximum number of keys.
        max_bytes: the maximum of bytes in keys, values and members, with `ENTRY_BYTES` added per
            key and `MEMBER_BYTES` per member of a collection.
        clock: seconds since the epoch.

    Attributes:
        now: ms since the epoch, as of the last `tick`.
        hits, misses: reads of keys that existed or did not.
        expired, evicted: keys removed because of their expiry or because of the bounds.
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
        self._entries: OrderedDict[bytes, KeyEntry] = OrderedDict()
        self._slots: list[bytes | None] = []
        self._free: list[int] = []
        self._expiry_heap: list[tuple[int, int]] = []

    def __len__(self) -> int:
        self._remove_expired(len(self._expiry_heap))
        return len(self._entries)

    def count_with_expiry(self) -> int:
        """Return how many keys have an expiry."""
        return sum(entry.expires_at is not None for entry in self._entries.values())

    def peek(self, key: bytes) -> KeyEntry | None:
        """Return a key's entry, or None. This does not count as a use of the key."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at is not None and entry.expires_at < self.now:
            self._expire(key)
            return None
        return entry

    def read(self, key: bytes) -> KeyEntry | None:
        """Return a key's entry, or None, and mark the key as the most recently used one."""
        entry = self._entries.get(key)
        if entry is None or (entry.expires_at is not None and self.peek(key) is None):
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return entry

    def get_string(self, key: bytes) -> bytes | None:
        """Return the string of a key, or None.

        Raises:
            ReplyError: WRONGTYPE.
        """
        entry = self._entries.get(key)
        # As `read` does, without its calls: most commands are reads of strings.
        if entry is not None and entry.expires_at is not None and entry.expires_at < self.now:
            self._expire(key)
            entry = None
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        value = entry.value
        if type(value) is not bytes:
            raise wrong_type_error()
        return value

    def get_strings(self, keys: Iterable[bytes]) -> list[Reply]:
        """Return the string of each key, or None; a value of another type has none."""
        entries, now = self._entries, self.now
        found: list[Reply] = []
        for key in keys:
            entry = entries.get(key)
            if entry is None or (entry.expires_at is not None and entry.expires_at < now):
                entry = self.read(key)  # counts a miss, and removes an expired key
            else:
                self.hits += 1
                entries.move_to_end(key)
            value = None if entry is None else entry.value
            found.append(value if type(value) is bytes else None)
        return found

    def get_collection(self, key: bytes, kind: type[C]) -> C:
        """Return the collection of a key, or an empty one that `reserve` stores.

        Raises:
            ReplyError: WRONGTYPE.
        """
        entry = self.read(key)
        if entry is None:
            return kind()
        value = entry.value
        if type(value) is not kind:
            raise wrong_type_error()
        return value

    def put(self, key: bytes, value: bytes, expires_at: int | None = None) -> None:
        """Store a string, whatever the key contained.

        Raises:
            CapacityExceeded: it exceeds the whole store; the old value stays.
        """
        size = len(key) + len(value) + ENTRY_BYTES
        entry = self._entries.get(key)
        if entry is None or size > self.max_bytes:
            self._store(key, value, expires_at, self.size_of(key, len(value)))
            return
        # As `_store` does, without its calls.
        self.used_bytes += size - entry.size
        entry.value, entry.expires_at, entry.size = value, expires_at, size
        self._entries.move_to_end(key)
        self._limit(entry)

    def reserve(self, key: bytes, value: Sized, growth: int) -> None:
        """Reserve bytes for new members of a collection, and store the collection if it is new.

        Raises:
            CapacityExceeded: it exceeds the whole store; nothing has changed.
        """
        entry = self._entries.get(key)
        if entry is None:
            self._store(key, value, None, self.size_of(key, growth))
            return
        self._check_size(entry.size + growth)
        self._add_size(entry, growth)
        self._evict()

    def release(self, key: bytes, value: Sized, loss: int) -> None:
        """Release the bytes of removed members; delete the key of an empty collection."""
        if not value:
            self.remove(key)
        else:
            self._add_size(self._entries[key], -loss)

    def size_of(self, key: bytes, value_bytes: int) -> int:
        """Return the bytes that an entry takes.

        Raises:
            CapacityExceeded: it exceeds the whole store.
        """
        size = len(key) + value_bytes + ENTRY_BYTES
        self._check_size(size)
        return size

    def set_expiry(self, entry: KeyEntry, expires_at: int | None) -> None:
        entry.expires_at = expires_at
        self._limit(entry)

    def remove(self, key: bytes) -> bool:
        if self.peek(key) is None:
            return False
        self._delete(key)
        return True

    def rename(self, key: bytes, new: bytes) -> None:
        """Move an existing entry with its expiry to `new`, whatever that contained."""
        entry = self._entries[key]
        size = entry.size - len(key) + len(new)
        self._check_size(size)
        self._delete(key)
        self._store(new, entry.value, entry.expires_at, size)

    def list_page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor (0 at the end) and about `count` keys.

        A key that exists from the first page to the last is returned, because it keeps its slot.
        A page reads at most ten times `count` slots, since many may be empty.
        """
        found: list[bytes] = []
        stop = min(len(self._slots), cursor + 10 * count)
        while cursor < stop and len(found) < count:
            key = self._slots[cursor]
            cursor += 1
            if key is not None and self.peek(key) is not None:
                found.append(key)
        return (cursor if cursor < len(self._slots) else 0), found

    def _store(self, key: bytes, value: Any, expires_at: int | None, size: int) -> None:
        entry = self._entries.get(key)
        if entry is None:
            slot = self._free.pop() if self._free else len(self._slots)
            if slot == len(self._slots):
                self._slots.append(key)
            else:
                self._slots[slot] = key
            entry = self._entries[key] = KeyEntry(value, expires_at, 0, slot)
        else:
            entry.value = value
            entry.expires_at = expires_at
            self._entries.move_to_end(key)
        self._add_size(entry, size - entry.size)
        self._limit(entry)

    def _limit(self, entry: KeyEntry) -> None:
        """Schedule the expiry of an entry that was stored, and keep the bounds."""
        heap = self._expiry_heap
        if entry.expires_at is not None:
            heapq.heappush(heap, (entry.expires_at, entry.slot))
            if len(heap) > 2 * len(self._entries) + 64:
                self._drop_stale_expiries()
        if (
            (heap and heap[0][0] < self.now)
            or len(self._entries) > self.max_entries
            or self.used_bytes > self.max_bytes
        ):
            self._evict()

    def _add_size(self, entry: KeyEntry, growth: int) -> None:
        entry.size += growth
        self.used_bytes += growth

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise CapacityExceeded(
                f"OOM command not allowed: the key would take {size} bytes, and the local store is "
                f"limited to {self.max_bytes}. Store smaller values or raise LOCAL_MAX_BYTES."
            )

    def _evict(self) -> None:
        self._remove_expired(_EXPIRED_PER_WRITE)
        while len(self._entries) > self.max_entries or self.used_bytes > self.max_bytes:
            self._delete(next(iter(self._entries)))
            self.evicted += 1

    def _drop_stale_expiries(self) -> None:
        self._expiry_heap = [
            (entry.expires_at, entry.slot)
            for entry in self._entries.values()
            if entry.expires_at is not None
        ]
        heapq.heapify(self._expiry_heap)

    def _remove_expired(self, limit: int) -> None:
        heap = self._expiry_heap
        while limit and heap and heap[0][0] < self.now:
            expires_at, slot = heapq.heappop(heap)
            key = self._slots[slot]
            # The slot may have another key by now; it is expired if it has this expiry.
            if key is not None and self._entries[key].expires_at == expires_at:
                self._expire(key)
            limit -= 1

    def _expire(self, key: bytes) -> None:
        self._delete(key)
        self.expired += 1

    def _delete(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        self.used_bytes -= entry.size
        self._slots[entry.slot] = None
        self._free.append(entry.slot)


def wrong_type_error() -> ReplyError:
    return ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
