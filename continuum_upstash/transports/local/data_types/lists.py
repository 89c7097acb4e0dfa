"""List commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import MEMBER_BYTES, Keyspace
from continuum_upstash.transports.local.parsing import parse_int, parse_positive


def lpush(space: Keyspace, key: bytes, element: bytes, *elements: bytes) -> Reply:
    stored = _get_list(space, key)
    space.reserve(key, stored, _size((element, *elements)))
    stored[:0] = (element, *elements)[::-1]
    return len(stored)


def rpush(space: Keyspace, key: bytes, element: bytes, *elements: bytes) -> Reply:
    stored = _get_list(space, key)
    space.reserve(key, stored, _size((element, *elements)))
    stored += (element, *elements)
    return len(stored)


def make_pop(*, is_left: bool) -> Callable[..., Reply]:
    """Return LPOP or RPOP."""

    def pop(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
        number = 1 if count is None else parse_positive(count)
        if space.peek(key) is None:
            return None
        stored = _get_list(space, key)
        removed = stored[:number] if is_left else stored[: -number - 1 : -1]
        if is_left:
            del stored[:number]
        elif number:
            del stored[-number:]
        if removed:
            space.release(key, stored, _size(removed))
        return removed[0] if count is None else list(removed)

    return pop


def lrange(space: Keyspace, key: bytes, start: bytes, stop: bytes) -> Reply:
    first, last = parse_int(start), parse_int(stop)
    stored = _get_list(space, key)
    return list(stored[_to_slice(first, last, len(stored))])


def llen(space: Keyspace, key: bytes) -> Reply:
    return len(_get_list(space, key))


def lindex(space: Keyspace, key: bytes, index: bytes) -> Reply:
    if space.peek(key) is None:
        return None
    stored = _get_list(space, key)
    at = parse_int(index)
    return stored[at] if -len(stored) <= at < len(stored) else None


def lset(space: Keyspace, key: bytes, index: bytes, element: bytes) -> Reply:
    if space.peek(key) is None:
        raise ReplyError("ERR no such key")
    stored = _get_list(space, key)
    at = parse_int(index)
    if not -len(stored) <= at < len(stored):
        raise ReplyError("ERR index out of range")
    space.reserve(key, stored, len(element) - len(stored[at]))
    stored[at] = element
    return b"OK"


def lrem(space: Keyspace, key: bytes, count: bytes, element: bytes) -> Reply:
    number = parse_int(count)
    stored = _get_list(space, key)
    found = [at for at, each in enumerate(stored) if each == element]
    if number:
        found = found[:number] if number > 0 else found[number:]
    for at in reversed(found):
        del stored[at]
    if found:
        space.release(key, stored, _size([element] * len(found)))
    return len(found)


def ltrim(space: Keyspace, key: bytes, start: bytes, stop: bytes) -> Reply:
    first, last = parse_int(start), parse_int(stop)
    stored = _get_list(space, key)
    kept = stored[_to_slice(first, last, len(stored))]
    if len(kept) < len(stored):
        loss = _size(stored) - _size(kept)
        stored[:] = kept
        space.release(key, stored, loss)
    return b"OK"


def _to_slice(first: int, last: int, size: int) -> slice:
    first = max(0, first + size if first < 0 else first)
    last = last + size if last < 0 else last
    return slice(first, max(0, last + 1))


def _get_list(space: Keyspace, key: bytes) -> list[bytes]:
    return space.get_collection(key, list)


def _size(elements: Iterable[bytes]) -> int:
    return sum(len(each) + MEMBER_BYTES for each in elements)
