"""Divides jobs into requests that the service accepts: 10 MB at most, in its smallest plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

# Bytes of jobs in one request. JSON around them, in which quotes are escaped, may double the size.
_MAX_BYTES: Final = 4 * 1024 * 1024


def split_by_size(
    items: Sequence[T], get_text: Callable[[T], str], max_items: int | None = None
) -> Iterator[Sequence[T]]:
    """Yield the items in order, in parts for one request each; no part if there are none.

    Args:
        items: jobs or dead letters.
        get_text: returns what is sent of an item.
        max_items: in a part.
    """
    start, size = 0, 0
    for end, item in enumerate(items):
        added = len(get_text(item).encode("utf-8", "surrogateescape"))
        if end > start and (size + added > _MAX_BYTES or end - start == max_items):
            yield items[start:end]
            start, size = end, 0
        size += added
    if start < len(items):
        yield items[start:]
