"""The table of Redis commands, one row per command.

To add a command, add its row: retries, the local fallback, the statistics and the bill read it. A
command without a row is billed, never sent a second time, and only the server can run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from typing import Final, NamedTuple

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Replies, Reply, Script, ScriptHash

# Where the keys are among the arguments.
NO_KEYS: Final = slice(0)
FIRST: Final = slice(1)
FIRST_TWO: Final = slice(2)
EVERY_OTHER: Final = slice(None, None, 2)
ALL: Final = slice(None)
SCRIPT_KEYS: Final = None  # EVAL script count key … argument …: `count` says how many


class Idempotent(Enum):
    """Whether a write leaves the same data however often it runs.

    The second run of DEL and PERSIST returns 0 instead of 1. Plans must accept that in any case:
    another client may have been faster.
    """

    NEVER = auto()
    UNLESS_CONDITIONAL = auto()  # not with NX, XX, GT, LT, GET or IF…, which depend on the data
    ALWAYS = auto()


class ReplyKind(Enum):
    VALUE = auto()  # a hit, or nil: a miss
    STORED = auto()  # OK, or nil: a condition was not met
    COUNTER = auto()  # an integer; over REST it is text beyond 2^53


class CommandSpec(NamedTuple):
    """One row.

    Attributes:
        reads: it only reads, so it can be sent again.
        writes: it may change its keys.
        keys: where they are among the arguments, a slice or SCRIPT_KEYS. Commands about the whole
            database (SCAN, FLUSHDB) have NO_KEYS.
        local: the local store runs it in place of the server during an outage.
        billed: Upstash bills it.
        idempotent: for a write, whether it can be sent again.
        reply: what its reply means, where the statistics or a transport need to know.
        returns: the types of its replies except errors; None: any.
        deletes: it only deletes keys.
    """

    reads: bool = False
    writes: bool = False
    keys: slice | None = NO_KEYS
    local: bool = False
    billed: bool = True
    idempotent: Idempotent = Idempotent.NEVER
    reply: ReplyKind | None = None
    returns: frozenset[object] | None = None
    deletes: bool = False


# What a command may return. A server or proxy that returns anything else is not what it claims.
_ANY: Final = frozenset({bytes, int, list, type(None)})
_INT: Final = frozenset({int})
_ITEMS: Final = frozenset({bytes, list, type(None)})
_LIST: Final = frozenset({list})
_STATUS: Final = frozenset({bytes})
_TEXT: Final = frozenset({bytes, type(None)})

UNKNOWN: Final = CommandSpec()

_read = partial(CommandSpec, True, False)
_write = partial(CommandSpec, False, True)
_FREE: Final = CommandSpec(billed=False)  # commands of connections and transactions

_ALWAYS: Final = Idempotent.ALWAYS
_UNLESS_CONDITIONAL: Final = Idempotent.UNLESS_CONDITIONAL
_VALUE: Final = ReplyKind.VALUE
_STORED: Final = ReplyKind.STORED
_COUNTER: Final = ReplyKind.COUNTER

COMMANDS: Final[Mapping[str, CommandSpec]] = {
    "AUTH": _FREE,
    "BITCOUNT": _read(FIRST, returns=_INT),
    "BITPOS": _read(FIRST, returns=_INT),
    "CLIENT": UNKNOWN,
    "COMMAND": _FREE,
    "CONFIG": _FREE,
    "DBSIZE": _read(returns=_INT),
    "DECR": _write(FIRST, reply=_COUNTER, returns=_INT),
    "DECRBY": _write(FIRST, reply=_COUNTER, returns=_INT),
    "DEL": _write(ALL, local=True, idempotent=_ALWAYS, returns=_INT, deletes=True),
    "DELEX": _write(FIRST, local=True, returns=_INT),
    "DIGEST": _read(FIRST, returns=_TEXT),
    "DISCARD": _FREE,
    "ECHO": _read(returns=_STATUS),
    "EVAL": _write(SCRIPT_KEYS, local=True),
    "EVALSHA": _write(SCRIPT_KEYS, local=True),
    "EVALSHA_RO": _read(SCRIPT_KEYS),
    "EVAL_RO": _read(SCRIPT_KEYS),
    "EXEC": _FREE,
    "EXISTS": _read(ALL, local=True, returns=_INT),
    "EXPIRE": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL, returns=_INT),
    "EXPIREAT": _write(FIRST, idempotent=_UNLESS_CONDITIONAL, returns=_INT),
    "EXPIRETIME": _read(FIRST, local=True, returns=_INT),
    "FCALL_RO": _read(SCRIPT_KEYS),
    "FLUSHALL": _write(idempotent=_ALWAYS, returns=_STATUS),
    "FLUSHDB": _write(idempotent=_ALWAYS, returns=_STATUS),
    "GET": _read(FIRST, local=True, reply=_VALUE, returns=_TEXT),
    "GETBIT": _read(FIRST, returns=_INT),
    "GETDEL": _write(FIRST, local=True, reply=_VALUE, returns=_TEXT),
    "GETEX": _write(FIRST, local=True, idempotent=_ALWAYS, reply=_VALUE, returns=_TEXT),
    "GETRANGE": _read(FIRST, local=True, returns=_TEXT),
    "GETSET": _write(FIRST, returns=_TEXT),
    "HDEL": _write(FIRST, returns=_INT),
    "HELLO": _FREE,
    "HEXISTS": _read(FIRST, returns=_INT),
    "HEXPIRE": _write(FIRST),
    "HGET": _read(FIRST, local=True, returns=_TEXT),
    "HGETALL": _read(FIRST, local=True, returns=_LIST),
    "HINCRBY": _write(FIRST, reply=_COUNTER, returns=_INT),
    "HKEYS": _read(FIRST, returns=_LIST),
    "HLEN": _read(FIRST, returns=_INT),
    "HMGET": _read(FIRST, local=True, returns=_LIST),
    "HPTTL": _read(FIRST),
    "HSCAN": _read(FIRST, returns=_LIST),
    "HSET": _write(FIRST, local=True, returns=_INT),
    "HSETNX": _write(FIRST, returns=_INT),
    "HSTRLEN": _read(FIRST, returns=_INT),
    "HTTL": _read(FIRST),
    "HVALS": _read(FIRST, returns=_LIST),
    "INCR": _write(FIRST, local=True, reply=_COUNTER, returns=_INT),
    "INCRBY": _write(FIRST, local=True, reply=_COUNTER, returns=_INT),
    "INFO": _read(billed=False, returns=_STATUS),
    "KEYS": _read(returns=_LIST),
    "LINDEX": _read(FIRST, returns=_TEXT),
    "LLEN": _read(FIRST, returns=_INT),
    "LPOP": _write(FIRST, returns=_ITEMS),
    "LPOS": _read(FIRST),
    "LPUSH": _write(FIRST, returns=_INT),
    "LRANGE": _read(FIRST, returns=_LIST),
    "LREM": _write(FIRST, returns=_INT),
    "LSET": _write(FIRST, returns=_STATUS),
    "LTRIM": _write(FIRST, returns=_STATUS),
    "MEMORY": _read(slice(1, 2)),
    "MGET": _read(ALL, local=True, reply=_VALUE, returns=_LIST),
    "MSET": _write(EVERY_OTHER, local=True, idempotent=_ALWAYS, reply=_STORED, returns=_STATUS),
    "MSETNX": _write(EVERY_OTHER, returns=_INT),
    "MULTI": _FREE,
    "PERSIST": _write(FIRST, local=True, idempotent=_ALWAYS, returns=_INT),
    "PEXPIRE": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL, returns=_INT),
    "PEXPIREAT": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL, returns=_INT),
    "PEXPIRETIME": _read(FIRST, local=True, returns=_INT),
    "PFCOUNT": _read(ALL, returns=_INT),
    "PING": _read(billed=False, returns=_STATUS),
    "PSETEX": _write(FIRST, idempotent=_ALWAYS, reply=_STORED, returns=_STATUS),
    "PTTL": _read(FIRST, local=True, returns=_INT),
    "PUBLISH": UNKNOWN,  # it changes no key
    "QUIT": _FREE,
    "RANDOMKEY": _read(returns=_TEXT),
    "RENAME": _write(FIRST_TWO, local=True, returns=_STATUS),
    "RENAMENX": _write(FIRST_TWO, local=True, returns=_INT),
    "RESET": _FREE,
    "RPOP": _write(FIRST, returns=_ITEMS),
    "RPUSH": _write(FIRST, returns=_INT),
    "SADD": _write(FIRST, local=True, returns=_INT),
    "SCAN": _read(returns=_LIST),
    "SCARD": _read(FIRST, returns=_INT),
    "SDIFF": _read(ALL, returns=_LIST),
    "SDIFFSTORE": _write(ALL, returns=_INT),
    "SELECT": _FREE,
    "SET": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL, reply=_STORED, returns=_TEXT),
    "SETEX": _write(FIRST, idempotent=_ALWAYS, reply=_STORED, returns=_STATUS),
    "SETNX": _write(FIRST, returns=_INT),
    "SINTER": _read(ALL, returns=_LIST),
    "SINTERSTORE": _write(ALL, returns=_INT),
    "SISMEMBER": _read(FIRST, returns=_INT),
    "SMEMBERS": _read(FIRST, local=True, returns=_LIST),
    "SMISMEMBER": _read(FIRST, returns=_LIST),
    "SMOVE": _write(FIRST_TWO, returns=_INT),
    "SPOP": _write(FIRST, returns=_ITEMS),
    "SRANDMEMBER": _read(FIRST, returns=_ITEMS),
    "SREM": _write(FIRST, returns=_INT),
    "SSCAN": _read(FIRST, returns=_LIST),
    "STRLEN": _read(FIRST, local=True, returns=_INT),
    "SUNION": _read(ALL, returns=_LIST),
    "SUNIONSTORE": _write(ALL, returns=_INT),
    "TIME": _read(returns=_LIST),
    "TOUCH": _read(ALL, returns=_INT),
    "TTL": _read(FIRST, local=True, returns=_INT),
    "TYPE": _read(FIRST, local=True, returns=_STATUS),
    "UNLINK": _write(ALL, local=True, idempotent=_ALWAYS, returns=_INT, deletes=True),
    "UNWATCH": _FREE,
    "WAIT": UNKNOWN,
    "WATCH": _FREE,
    "XADD": _write(FIRST, returns=_TEXT),
    "XLEN": _read(FIRST, returns=_INT),
    "XRANGE": _read(FIRST),
    "XREAD": UNKNOWN,
    "XREVRANGE": _read(FIRST),
    "ZADD": _write(FIRST, local=True),
    "ZCARD": _read(FIRST, returns=_INT),
    "ZCOUNT": _read(FIRST, returns=_INT),
    "ZMSCORE": _read(FIRST, returns=_LIST),
    "ZINCRBY": _write(FIRST, returns=_TEXT),
    "ZPOPMAX": _write(FIRST, returns=_LIST),
    "ZPOPMIN": _write(FIRST, returns=_LIST),
    "ZRANGE": _read(FIRST, local=True, returns=_LIST),
    "ZRANGEBYSCORE": _read(FIRST, returns=_LIST),
    "ZRANK": _read(FIRST),
    "ZREM": _write(FIRST, local=True, returns=_INT),
    "ZREMRANGEBYSCORE": _write(FIRST, local=True, returns=_INT),
    "ZREVRANGE": _read(FIRST, returns=_LIST),
    "ZREVRANGEBYSCORE": _read(FIRST, returns=_LIST),
    "ZREVRANK": _read(FIRST),
    "ZSCAN": _read(FIRST, returns=_LIST),
    "ZSCORE": _read(FIRST, local=True, returns=_TEXT),
}

COUNTERS: Final = frozenset(
    name for name, spec in COMMANDS.items() if spec.reply is ReplyKind.COUNTER
)


def _is_script_reply(command: Command, reply: Reply) -> bool:
    script = command[1] if len(command) > 1 else None
    return not isinstance(script, Script) or script.is_reply(reply)


def _has_value_per_key(command: Command, reply: Reply) -> bool:
    keys = len(command) - (1 if command[0] == "MGET" else 2)
    return isinstance(reply, list) and len(reply) == keys and set(map(type, reply)) <= _TEXT


def _is_scan_page(_: Command, reply: Reply) -> bool:
    cursor, keys = reply if isinstance(reply, list) and len(reply) == 2 else (None, None)
    if not (isinstance(cursor, bytes) and cursor.isascii() and isinstance(keys, list)):
        return False
    return all(type(key) is bytes for key in keys)


def _is_time(_: Command, reply: Reply) -> bool:
    parts = [each for each in reply if isinstance(each, bytes)] if isinstance(reply, list) else []
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def _is_score(_: Command, reply: Reply) -> bool:
    try:
        float(reply if isinstance(reply, bytes) else "")
    except ValueError:
        return False
    return True


_REPLY_CHECKS: Final[Mapping[str, Callable[[Command, Reply], bool]]] = {
    "EVAL": _is_script_reply,
    "HMGET": _has_value_per_key,
    "HSCAN": _is_scan_page,
    "MGET": _has_value_per_key,
    "SCAN": _is_scan_page,
    "SSCAN": _is_scan_page,
    "TIME": _is_time,
    "ZINCRBY": _is_score,
}

# The types by which a reply is known to be valid without `is_reply_to`.
_REPLY_TYPES: Final[Mapping[Argument, frozenset[object]]] = {
    name: frozenset() if name in _REPLY_CHECKS else spec.returns or _ANY
    for name, spec in COMMANDS.items()
}
_OTHER_REPLY_TYPES: Final = _ANY  # of a command without a row

_EXPIRY_OPTIONS: Final = frozenset({"EX", "PX", "EXAT", "PXAT", "KEEPTTL"})


def get_spec(command: Command) -> CommandSpec:
    """Return the row of a command, whose name may be in lower case."""
    return COMMANDS.get(str(command[0]).upper(), UNKNOWN)


def list_written_keys(batch: Batch) -> list[str] | None:
    """Return the keys that the batch may change, or None if only the server can run it."""
    keys: list[str] = []
    for command in batch.commands:
        name = command[0]
        spec = COMMANDS.get(name) if type(name) is str else None  # fast where it is upper case
        if spec is None:
            spec = get_spec(command)
        if not spec.local:
            return None
        if spec.writes:
            written: Sequence[Argument] | None
            if spec.keys is SCRIPT_KEYS:
                written = _list_script_keys(command)
            else:
                written = command[1:][spec.keys]
            if written is None:
                return None
            keys += map(str, written)
    return keys


def list_changed_keys(batch: Batch) -> list[str] | None:
    """Return the keys that the batch may change, or None if it may change any key."""
    keys: list[str] = []
    for command in batch.commands:
        spec = get_spec(command)
        if spec.reads or not spec.billed:
            continue
        changed: Sequence[Argument] | None = None
        if spec.keys is SCRIPT_KEYS:
            changed = _list_script_keys(command)
        elif spec.writes and spec.keys != NO_KEYS:
            changed = command[1:][spec.keys]
        if changed is None:
            return None  # FLUSHDB, a command without a row, or a script that may use any key
        keys += map(_to_text, changed)
    return keys


def _list_script_keys(command: Command) -> Sequence[Argument] | None:
    """Return the keys that a script of this package names; None: it may use any key."""
    if len(command) < 3 or not isinstance(command[1], (Script, ScriptHash)):
        return None
    return command[3 : 3 + int(str(command[2]))]


def _to_text(key: Argument) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def is_retryable(batch: Batch) -> bool:
    """Return whether running the batch twice has the effect and the replies of running it once.

    A read before a write makes the batch unsafe, even if each command is safe: the second run would
    read what the first run wrote.
    """
    has_read = False
    for command in batch.commands:
        spec = get_spec(command)
        if spec.reads:
            has_read = True
        elif has_read or not _is_idempotent_write(command, spec):
            return False
    return True


def _is_idempotent_write(command: Command, spec: CommandSpec) -> bool:
    if spec.idempotent is Idempotent.UNLESS_CONDITIONAL:
        return all(str(option).upper() in _EXPIRY_OPTIONS for option in _list_options(command))
    return spec.idempotent is Idempotent.ALWAYS


def _list_options(command: Command) -> list[Argument]:
    """Return the names of the options: each but KEEPTTL is followed by its value."""
    names: list[Argument] = []
    rest = iter(command[3:])
    for option in rest:
        names.append(option)
        if str(option).upper() != "KEEPTTL":
            next(rest, None)
    return names


def have_known_types(commands: Sequence[Command], replies: Replies) -> bool:
    """Return whether each reply is valid by its type alone; False: see `is_reply_to`."""
    if len(commands) != len(replies):
        return False
    if len(commands) == 1:
        return type(replies[0]) in _REPLY_TYPES.get(commands[0][0], _OTHER_REPLY_TYPES)
    # A pipeline has many commands, but few different ones.
    kinds = {(command[0], type(reply)) for command, reply in zip(commands, replies, strict=True)}
    return all(kind in _REPLY_TYPES.get(name, _OTHER_REPLY_TYPES) for name, kind in kinds)


def is_reply_to(command: Command, reply: Reply) -> bool:
    """Return whether a reply that is no error can be the reply to a command."""
    if type(reply) not in (get_spec(command).returns or _ANY):
        return False
    check = _REPLY_CHECKS.get(str(command[0]).upper())
    return check is None or check(command, reply)
