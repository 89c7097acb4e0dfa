"""Commands about keys, whatever they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.arguments import integer, syntax_error
from continuum_upstash.transports.local.glob import compiled
from continuum_upstash.transports.local.keyspace import Entry, Keyspace
from continuum_upstash.transports.local.sorted_sets import SortedSet

_TYPES: Final = {bytes: b"string", set: b"set", dict: b"hash", SortedSet: b"zset"}
_SERVER_TYPES: Final = frozenset({*_TYPES.values(), b"list", b"stream"})


def exists(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return sum(space.peek(each) is not None for each in (key, *keys))


def delete(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return sum(space.remove(each) for each in (key, *keys))


def touch(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return sum(space.read(each) is not None for each in (key, *keys))


def type_(space: Keyspace, key: bytes) -> Reply:
    entry = space.peek(key)
    return b"none" if entry is None else _type_of(entry)


def _type_of(entry: Entry) -> bytes:
    return _TYPES[type(entry.value)]


def rename(space: Keyspace, key: bytes, new: bytes) -> Reply:
    _must_exist(space, key)
    space.rename(key, new)
    return b"OK"


def renamenx(space: Keyspace, key: bytes, new: bytes) -> Reply:
    _must_exist(space, key)
    if space.peek(new) is not None:
        return 0
    space.rename(key, new)
    return 1


def _must_exist(space: Keyspace, key: bytes) -> None:
    if space.peek(key) is None:
        raise ReplyError("ERR no such key")


@dataclass(slots=True)
class _Filter:
    pattern: bytes | None = None
    kind: bytes | None = None
    count: int = 10

    def admits(self, space: Keyspace, key: bytes) -> bool:
        if self.pattern is not None and not compiled(self.pattern).match(key):
            return False
        entry = space.peek(key)
        return entry is not None and (self.kind is None or _type_of(entry) == self.kind)


def scan(space: Keyspace, cursor: bytes, *words: bytes) -> Reply:
    if not cursor.isdigit() or int(cursor) >= 2**64:
        raise ReplyError("ERR invalid cursor")
    wanted = _read_filter(words)
    following, keys = space.page(int(cursor), wanted.count)
    return [b"%d" % following, [key for key in keys if wanted.admits(space, key)]]


def _read_filter(words: Sequence[bytes]) -> _Filter:
    if len(words) % 2:
        raise syntax_error()
    wanted = _Filter()
    for word, argument in zip(words[::2], words[1::2], strict=True):
        match word.upper():
            case b"MATCH":
                wanted.pattern = argument
            case b"COUNT":
                wanted.count = integer(argument)
                if wanted.count < 1:
                    raise syntax_error()
            case b"TYPE":
                wanted.kind = argument.lower()
                if wanted.kind not in _SERVER_TYPES:
                    raise ReplyError(f"ERR unknown type name '{argument.decode(errors='replace')}'")
            case _:
                raise syntax_error()
    return wanted
