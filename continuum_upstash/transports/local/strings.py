"""String commands. A stored string is exactly the bytes that came in; a number is its digits."""

from __future__ import annotations

from collections.abc import Iterable

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.arguments import (
    GETEX_WORDS,
    LOWEST,
    SET_WORDS,
    Options,
    added,
    end_of_life,
    integer,
    pairs,
    read,
    syntax_error,
)
from continuum_upstash.transports.local.keyspace import Keyspace


def get(space: Keyspace, key: bytes) -> Reply:
    return space.string(key)


def mget(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    entries = map(space.read, (key, *keys))
    return [e.value if e is not None and type(e.value) is bytes else None for e in entries]


def strlen(space: Keyspace, key: bytes) -> Reply:
    return len(space.string(key) or b"")


def set_(space: Keyspace, key: bytes, value: bytes, *words: bytes) -> Reply:
    if not words:
        space.put(key, value)
        return b"OK"
    options = read(words, SET_WORDS)
    end = options.end(space, "set")
    entry = space.peek(key)
    old = space.string(key) if options.returns or options.compares else None
    reply = old if options.returns else b"OK"
    if not _holds(options, old, exists=entry is not None):
        return old if options.returns else None
    if options.life == b"KEEPTTL" and entry is not None:
        end = entry.end
    _store(space, key, value, end)
    return reply


def _holds(options: Options, old: bytes | None, *, exists: bool) -> bool:
    match options.condition:
        case b"NX":
            return not exists
        case b"XX":
            return exists
        case b"IFEQ":
            return old == options.operand
        case b"IFNE":
            return old != options.operand
        case _:
            return True


def _store(space: Keyspace, key: bytes, value: bytes, end: int | None) -> None:
    """Store a string; one that has ended already leaves no key, as on a server."""
    if end is not None and end <= space.now:
        space.remove(key)
    else:
        space.put(key, value, end)


def setnx(space: Keyspace, key: bytes, value: bytes) -> Reply:
    if space.peek(key) is not None:
        return 0
    space.put(key, value)
    return 1


def setex(space: Keyspace, key: bytes, seconds: bytes, value: bytes) -> Reply:
    space.put(key, value, end_of_life(space, b"EX", seconds, "setex"))
    return b"OK"


def psetex(space: Keyspace, key: bytes, milliseconds: bytes, value: bytes) -> Reply:
    space.put(key, value, end_of_life(space, b"PX", milliseconds, "psetex"))
    return b"OK"


def getset(space: Keyspace, key: bytes, value: bytes) -> Reply:
    old = space.string(key)
    space.put(key, value)
    return old


def getdel(space: Keyspace, key: bytes) -> Reply:
    old = space.string(key)
    space.remove(key)
    return old


def getex(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    options = read(words, GETEX_WORDS)
    end = options.end(space, "getex")
    value = space.string(key)
    entry = space.peek(key)
    if entry is None or options.life is None:
        return value
    if end is not None and end <= space.now:
        space.remove(key)
    else:
        space.set_end(entry, end)
    return value


def mset(space: Keyspace, key: bytes, value: bytes, *more: bytes) -> Reply:
    _put_all(space, pairs((key, value, *more), "mset"))
    return b"OK"


def msetnx(space: Keyspace, key: bytes, value: bytes, *more: bytes) -> Reply:
    items = list(pairs((key, value, *more), "msetnx"))
    if any(space.peek(each) is not None for each, _ in items):
        return 0
    _put_all(space, items)
    return 1


def _put_all(space: Keyspace, items: Iterable[tuple[bytes, bytes]]) -> None:
    stored = dict(items)
    for key, value in stored.items():
        space.require(key, len(value))
    for key, value in stored.items():
        space.put(key, value)


def incr(space: Keyspace, key: bytes) -> Reply:
    return _step(space, key, 1)


def decr(space: Keyspace, key: bytes) -> Reply:
    return _step(space, key, -1)


def incrby(space: Keyspace, key: bytes, step: bytes) -> Reply:
    return _step(space, key, integer(step))


def decrby(space: Keyspace, key: bytes, step: bytes) -> Reply:
    number = integer(step)
    if number == LOWEST:
        raise ReplyError("ERR decrement would overflow")
    return _step(space, key, -number)


def _step(space: Keyspace, key: bytes, step: int) -> int:
    value = space.string(key)
    number = added(0 if value is None else integer(value), step)
    entry = space.peek(key)
    space.put(key, b"%d" % number, None if entry is None else entry.end)
    return number


def delex(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    """Delete a key if it holds what is expected (Upstash docs, redis/commands, DELEX)."""
    if not words:
        return int(space.remove(key))
    if len(words) != 2 or (condition := words[0].upper()) not in (b"IFEQ", b"IFNE"):
        raise syntax_error()
    value = space.string(key)
    if value is None or (value == words[1]) != (condition == b"IFEQ"):
        return 0
    return int(space.remove(key))
