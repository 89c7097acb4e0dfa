"""What the package knows about each Redis command, one row per command.

To add a command, add its row: retries, the local fallback, the statistics and the bill read it. A
command without a row is billed, never sent a second time, and only the server can run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from functools import partial
from typing import Final, NamedTuple

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Script, ScriptHash

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
    """

    reads: bool = False
    writes: bool = False
    keys: slice | None = NO_KEYS
    local: bool = False
    billed: bool = True
    idempotent: Idempotent = Idempotent.NEVER
    reply: ReplyKind | None = None


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
    "BITCOUNT": _read(FIRST),
    "BITPOS": _read(FIRST),
    "CLIENT": UNKNOWN,
    "COMMAND": _FREE,
    "CONFIG": _FREE,
    "DBSIZE": _read(),
    "DECR": _write(FIRST, reply=_COUNTER),
    "DECRBY": _write(FIRST, reply=_COUNTER),
    "DEL": _write(ALL, local=True, idempotent=_ALWAYS),
    "DELEX": _write(FIRST, local=True),
    "DIGEST": _read(FIRST),
    "DISCARD": _FREE,
    "ECHO": _read(),
    "EVAL": _write(SCRIPT_KEYS, local=True),
    "EVALSHA": _write(SCRIPT_KEYS, local=True),
    "EVALSHA_RO": _read(SCRIPT_KEYS),
    "EVAL_RO": _read(SCRIPT_KEYS),
    "EXEC": _FREE,
    "EXISTS": _read(ALL, local=True),
    "EXPIRE": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL),
    "EXPIREAT": _write(FIRST, idempotent=_UNLESS_CONDITIONAL),
    "EXPIRETIME": _read(FIRST, local=True),
    "FCALL_RO": _read(SCRIPT_KEYS),
    "FLUSHALL": _write(idempotent=_ALWAYS),
    "FLUSHDB": _write(idempotent=_ALWAYS),
    "GET": _read(FIRST, local=True, reply=_VALUE),
    "GETBIT": _read(FIRST),
    "GETDEL": _write(FIRST, local=True, reply=_VALUE),
    "GETEX": _write(FIRST, local=True, idempotent=_ALWAYS, reply=_VALUE),
    "GETRANGE": _read(FIRST),
    "GETSET": _write(FIRST),
    "HDEL": _write(FIRST),
    "HELLO": _FREE,
    "HEXISTS": _read(FIRST),
    "HEXPIRE": _write(FIRST),
    "HGET": _read(FIRST, local=True),
    "HGETALL": _read(FIRST, local=True),
    "HINCRBY": _write(FIRST, reply=_COUNTER),
    "HKEYS": _read(FIRST),
    "HLEN": _read(FIRST),
    "HMGET": _read(FIRST, local=True),
    "HPTTL": _read(FIRST),
    "HSCAN": _read(FIRST),
    "HSET": _write(FIRST, local=True),
    "HSTRLEN": _read(FIRST),
    "HTTL": _read(FIRST),
    "HVALS": _read(FIRST),
    "INCR": _write(FIRST, local=True, reply=_COUNTER),
    "INCRBY": _write(FIRST, local=True, reply=_COUNTER),
    "INFO": _read(billed=False),
    "KEYS": _read(),
    "LINDEX": _read(FIRST),
    "LLEN": _read(FIRST),
    "LPOS": _read(FIRST),
    "LRANGE": _read(FIRST),
    "MGET": _read(ALL, local=True, reply=_VALUE),
    "MSET": _write(EVERY_OTHER, local=True, idempotent=_ALWAYS, reply=_STORED),
    "MSETNX": _write(EVERY_OTHER),
    "MULTI": _FREE,
    "PERSIST": _write(FIRST, local=True, idempotent=_ALWAYS),
    "PEXPIRE": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL),
    "PEXPIREAT": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL),
    "PEXPIRETIME": _read(FIRST, local=True),
    "PFCOUNT": _read(ALL),
    "PING": _read(billed=False),
    "PSETEX": _write(FIRST, idempotent=_ALWAYS, reply=_STORED),
    "PTTL": _read(FIRST, local=True),
    "QUIT": _FREE,
    "RANDOMKEY": _read(),
    "RENAME": _write(FIRST_TWO, local=True),
    "RENAMENX": _write(FIRST_TWO, local=True),
    "RESET": _FREE,
    "SADD": _write(FIRST, local=True),
    "SCAN": _read(),
    "SCARD": _read(FIRST),
    "SDIFF": _read(ALL),
    "SELECT": _FREE,
    "SET": _write(FIRST, local=True, idempotent=_UNLESS_CONDITIONAL, reply=_STORED),
    "SETEX": _write(FIRST, idempotent=_ALWAYS, reply=_STORED),
    "SETNX": _write(FIRST),
    "SINTER": _read(ALL),
    "SISMEMBER": _read(FIRST),
    "SMEMBERS": _read(FIRST, local=True),
    "SMISMEMBER": _read(FIRST),
    "SREM": _write(FIRST),
    "SSCAN": _read(FIRST),
    "STRLEN": _read(FIRST, local=True),
    "SUNION": _read(ALL),
    "TIME": _read(),
    "TOUCH": _read(ALL),
    "TTL": _read(FIRST, local=True),
    "TYPE": _read(FIRST, local=True),
    "UNLINK": _write(ALL, local=True, idempotent=_ALWAYS),
    "UNWATCH": _FREE,
    "WATCH": _FREE,
    "XLEN": _read(FIRST),
    "XRANGE": _read(FIRST),
    "XREVRANGE": _read(FIRST),
    "ZADD": _write(FIRST, local=True),
    "ZCARD": _read(FIRST),
    "ZCOUNT": _read(FIRST),
    "ZMSCORE": _read(FIRST),
    "ZRANGE": _read(FIRST, local=True),
    "ZRANGEBYSCORE": _read(FIRST),
    "ZRANK": _read(FIRST),
    "ZREM": _write(FIRST, local=True),
    "ZREMRANGEBYSCORE": _write(FIRST, local=True),
    "ZREVRANGE": _read(FIRST),
    "ZREVRANK": _read(FIRST),
    "ZSCAN": _read(FIRST),
    "ZSCORE": _read(FIRST, local=True),
}

COUNTERS: Final = frozenset(
    name for name, spec in COMMANDS.items() if spec.reply is ReplyKind.COUNTER
)

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
            if spec.keys is not SCRIPT_KEYS:
                keys += map(str, command[1:][spec.keys])
            elif isinstance(command[1], (Script, ScriptHash)):
                keys += map(str, command[3 : 3 + int(str(command[2]))])
            else:
                return None
    return keys


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
