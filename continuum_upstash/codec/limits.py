"""Limits for decoding stored bytes, which are untrusted.

Decoding takes memory and time in proportion to the stored bytes (docs/reference/stored-bytes.md
states the factors). Two things would break that: hash tables whose keys collide, and compressed
values. Neither is limited where the value is signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import thread_time
from typing import Any, Final

# int() accepts this many digits with any sys.set_int_max_str_digits; its time is quadratic.
MAX_INT_DIGITS: Final = 640
MAX_INT_BITS: Final = 2126  # ints of up to this many bits have at most MAX_INT_DIGITS digits

# Dicts and sets of up to this many items are built without measuring the time: at worst, an
# insertion compares its key with all others.
MAX_UNMEASURED_ITEMS: Final = 128

_FREE_SECONDS: Final = 0.05
_SECONDS_PER_BYTE: Final = 0.25e-6  # ten times what keys take that do not collide

# A compressed value may take this much memory when it is decoded, for each stored byte.
_MEMORY_PER_BYTE: Final = 256
_FREE_MEMORY: Final = 1024 * 1024

# The most memory that the objects in a byte of msgpack take, beyond the bytes of some headers.
_OBJECTS_PER_BYTE: Final = 28
_OBJECTS_PER_BYTE_WITH_TABLES: Final = 113
_LARGE_HEADERS: Final = (
    (bytes(range(0x80, 0x90)) + b"\xde\xdf", 200),  # a dict
    (bytes(range(0x90, 0xA0)), 48),  # a list
    (bytes(range(0xD4, 0xD9)), 60),  # an extension value, for example a Decimal
)
_STRING_HEADERS: Final = frozenset(bytes(range(0xA0, 0xC0)) + b"\xc4\xc5\xc6\xd9\xda\xdb")
# The tag of a set, or the header of a dict that is built from a list of its pairs.
_find_table: Final = re.compile(
    rb"(?:\xc7|\xc8\x00|\xc9\x00{3})\x00[\x02\x03]|\xde(?:\x00[\x81-\xff]|[^\x00])|\xdf[\x00-\x03]",
    re.DOTALL,
).search
_JSON_OBJECTS: Final = ((b"[", 72), (b"{", 232), (b",", 72), (b":", 128))
MIN_MEMORY_PER_BYTE: Final = 2  # a signed value: the bytes, and those that are verified
_TEXT_PER_BYTE: Final = 5  # as bytes, and as a str of four bytes a character


class LimitExceeded(Exception):
    """The bytes would take too much time or memory. Not a ValueError, which could mean: text."""


class HashTableBuilder:
    """Builds the dicts and sets of one value, unless their keys collide.

    Python's hashes of numbers, tuples and UUIDs can be predicted: with chosen keys, n insertions
    take n² steps.

    Args:
        size: the size of the value in bytes, which determines how much time it may take.
    """

    __slots__ = ("_seconds_left",)

    def __init__(self, size: int) -> None:
        self._seconds_left = _FREE_SECONDS + size * _SECONDS_PER_BYTE

    def build(self, kind: Any, items: Sequence[Any]) -> Any:
        """Return a dict, set or frozenset (`kind`) of the items.

        Raises:
            LimitExceeded: its keys collide.
        """
        if len(items) <= MAX_UNMEASURED_ITEMS:
            return kind(items)
        table: Any = {} if kind is dict else set()
        for start in range(0, len(items), MAX_UNMEASURED_ITEMS):
            started = thread_time()
            table.update(items[start : start + MAX_UNMEASURED_ITEMS])
            self._seconds_left -= thread_time() - started
            if self._seconds_left < 0:
                raise LimitExceeded("keys that collide")
        return kind(table) if kind is frozenset else table


def get_memory_limit(stored_bytes: int) -> int:
    """Return how many bytes of memory a compressed value may take."""
    return _FREE_MEMORY + _MEMORY_PER_BYTE * stored_bytes


def get_min_stored_bytes(content: bytes) -> int:
    """Return the least size of a compressed value with this content."""
    return max(0, -(-(estimate_memory(content) - _FREE_MEMORY) // _MEMORY_PER_BYTE))


def estimate_memory(content: bytes) -> int:
    """Return an upper limit of the memory in bytes that decoding takes, including `content`."""
    size, first = len(content), content[:1]
    if first == b"\x02":
        return MIN_MEMORY_PER_BYTE * size
    if first in {b"{", b"["}:
        counts = sum(content.count(part) * each for part, each in _JSON_OBJECTS)
        return 2 * _TEXT_PER_BYTE * size + counts
    if first < b"\x80" or content[0] in _STRING_HEADERS:
        return _TEXT_PER_BYTE * size
    if _find_table(content):
        return (1 + _OBJECTS_PER_BYTE_WITH_TABLES) * size
    headers = sum(
        (size - len(content.translate(None, delete))) * each for delete, each in _LARGE_HEADERS
    )
    return (1 + _OBJECTS_PER_BYTE) * size + headers
