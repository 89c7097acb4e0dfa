"""String commands. A string is stored as the bytes that were received, a number as its digits."""

from __future__ import annotations

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import Keyspace
from continuum_upstash.transports.local.parsing import (
    GETEX_OPTIONS,
    INT64_MAX,
    INT64_MIN,
    SET_OPTIONS,
    Options,
    parse_int,
    read_options,
    split_pairs,
    syntax_error,
)


def mget(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return space.get_strings((key, *keys))


def strlen(space: Keyspace, key: bytes) -> Reply:
    return len(space.get_string(key) or b"")


def getrange(space: Keyspace, key: bytes, first: bytes, last: bytes) -> Reply:
    start, end = parse_int(first), parse_int(last)
    value = space.get_string(key) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    start, end = (max(each + len(value), 0) if each < 0 else each for each in (start, end))
    return value[start : end + 1]


def set_(space: Keyspace, key: bytes, value: bytes, *arguments: bytes) -> Reply:
    if not arguments:
        space.put(key, value)
        return b"OK"
    if len(arguments) == 2 and arguments[0] == b"PX":  # what caches send
        amount = arguments[1]
        if amount.isdigit() and len(amount) < 16 and not amount.startswith(b"0"):
            space.put(key, value, space.now + int(amount))
            return b"OK"
    options = read_options(arguments, SET_OPTIONS)
    expires_at = options.expires_at(space, "set")
    if not _is_condition_met(space, key, options):
        return None
    entry = space.peek(key)
    if options.expiry == b"KEEPTTL" and entry is not None:
        expires_at = entry.expires_at
    if expires_at is not None and expires_at <= space.now:
        space.remove(key)  # an expiry in the past deletes the key, as on a server
    else:
        space.put(key, value, expires_at)
    return b"OK"


def _is_condition_met(space: Keyspace, key: bytes, options: Options) -> bool:
    match options.condition:
        case b"NX":
            return space.peek(key) is None
        case b"XX":
            return space.peek(key) is not None
        case b"IFEQ":
            return space.get_string(key) == options.operand
        case _:
            return True


def getdel(space: Keyspace, key: bytes) -> Reply:
    old = space.get_string(key)
    space.remove(key)
    return old


def getex(space: Keyspace, key: bytes, *arguments: bytes) -> Reply:
    options = read_options(arguments, GETEX_OPTIONS)
    expires_at = options.expires_at(space, "getex")
    value = space.get_string(key)
    entry = space.peek(key)
    if entry is None or options.expiry is None:
        return value
    if expires_at is not None and expires_at <= space.now:
        space.remove(key)
    else:
        space.set_expiry(entry, expires_at)
    return value


def mset(space: Keyspace, key: bytes, value: bytes, *more: bytes) -> Reply:
    items = dict(split_pairs((key, value, *more), "mset"))
    for each, content in items.items():
        space.size_of(each, len(content))  # raises before anything is stored
    for each, content in items.items():
        space.put(each, content)
    return b"OK"


def incr(space: Keyspace, key: bytes) -> Reply:
    return _add(space, key, 1)


def incrby(space: Keyspace, key: bytes, step: bytes) -> Reply:
    return _add(space, key, parse_int(step))


def _add(space: Keyspace, key: bytes, step: int) -> int:
    value = space.get_string(key)
    total = (0 if value is None else parse_int(value)) + step
    if not INT64_MIN <= total <= INT64_MAX:
        raise ReplyError("ERR increment or decrement would overflow")
    entry = space.peek(key)
    space.put(key, b"%d" % total, None if entry is None else entry.expires_at)
    return total


def delex(space: Keyspace, key: bytes, condition: bytes, value: bytes) -> Reply:
    """Delete a key if it contains this value (Upstash docs, redis/commands, DELEX)."""
    if condition.upper() != b"IFEQ":
        raise syntax_error()
    return int(space.get_string(key) == value and space.remove(key))
