"""Commands for keys of any type, Redis' group "generic"."""

from __future__ import annotations

from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.data_types.scores import SortedSet
from continuum_upstash.transports.local.glob import compile_glob
from continuum_upstash.transports.local.keyspace import Keyspace
from continuum_upstash.transports.local.parsing import parse_cursor, read_scan_options

_TYPES: Final = {bytes: b"string", set: b"set", dict: b"hash", list: b"list", SortedSet: b"zset"}


def exists(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return sum(space.peek(each) is not None for each in (key, *keys))


def delete(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return sum(space.remove(each) for each in (key, *keys))


def type_(space: Keyspace, key: bytes) -> Reply:
    entry = space.peek(key)
    return b"none" if entry is None else _TYPES[type(entry.value)]


def rename(space: Keyspace, key: bytes, new: bytes) -> Reply:
    _require_key(space, key)
    space.rename(key, new)
    return b"OK"


def renamenx(space: Keyspace, key: bytes, new: bytes) -> Reply:
    _require_key(space, key)
    if space.peek(new) is not None:
        return 0
    space.rename(key, new)
    return 1


def _require_key(space: Keyspace, key: bytes) -> None:
    if space.peek(key) is None:
        raise ReplyError("ERR no such key")


def scan(space: Keyspace, cursor: bytes, *arguments: bytes) -> Reply:
    position = parse_cursor(cursor)
    pattern, count = read_scan_options(arguments)
    next_cursor, page = space.list_page(position, count)
    matches = compile_glob(pattern).match
    return [b"%d" % next_cursor, [key for key in page if matches(key)]]
