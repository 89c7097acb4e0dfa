"""Which keys a batch changes, for batches that a store of this process may answer at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Script, ScriptHash

_NONE: Final = slice(0)
_FIRST: Final = slice(1)
_FIRST_TWO: Final = slice(2)
_EVERY_OTHER: Final = slice(None, None, 2)
_ALL: Final = slice(None)

_READS: Final = (
    "EXISTS EXPIRETIME GET HGET HGETALL HMGET MGET PEXPIRETIME PTTL SCARD SISMEMBER SMEMBERS "
    "STRLEN TOUCH TTL TYPE ZCARD ZRANGE ZRANGEBYSCORE ZSCORE"
)
_WRITES: Final = (
    "DECR DECRBY DELEX EXPIRE EXPIREAT GETDEL GETEX GETSET HDEL HINCRBY HSET INCR INCRBY PERSIST "
    "PEXPIRE PEXPIREAT PSETEX SADD SET SETEX SETNX SREM ZADD ZREM ZREMRANGEBYSCORE"
)

# Where the changed keys stand among the arguments. What is missing speaks of the whole database
# (SCAN, INFO, FLUSHDB, PING …) or is unknown to the local store: nobody answers in its place.
_WRITTEN: Final[Mapping[str, slice]] = {
    **dict.fromkeys(_READS.split(), _NONE),
    **dict.fromkeys(_WRITES.split(), _FIRST),
    **dict.fromkeys(("RENAME", "RENAMENX"), _FIRST_TWO),
    **dict.fromkeys(("MSET", "MSETNX"), _EVERY_OTHER),
    **dict.fromkeys(("DEL", "UNLINK"), _ALL),
}


def written_keys(batch: Batch) -> list[str] | None:
    """Return the keys that the batch may change, or None if no stand-in may answer it."""
    written: list[str] = []
    for command in batch.commands:
        name = command[0]
        where = _WRITTEN.get(name) if type(name) is str else None
        if where is None:
            where = _rarer(command)
            if where is None:
                return None
        if where is not _NONE:
            written += map(str, command[1:][where])
    return written


def _rarer(command: Command) -> slice | None:
    name = str(command[0]).upper()
    # EVAL script count key … argument …
    if name in {"EVAL", "EVALSHA"} and isinstance(command[1], (Script, ScriptHash)):
        return slice(2, 2 + int(str(command[2])))
    return _WRITTEN.get(name)
