"""Which batches may be sent a second time when nobody knows whether the first one arrived."""

from __future__ import annotations

from typing import Final

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command

_READS: Final = frozenset(
    "BITCOUNT BITPOS DBSIZE DIGEST ECHO EVALSHA_RO EVAL_RO "  # noqa: SIM905 a table of words
    "EXISTS EXPIRETIME FCALL_RO GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HPTTL "
    "HSCAN HSTRLEN HTTL HVALS INFO KEYS LINDEX LLEN LPOS LRANGE MGET PEXPIRETIME PFCOUNT PING "
    "PTTL RANDOMKEY SCAN SCARD SDIFF SINTER SISMEMBER SMEMBERS SMISMEMBER SSCAN STRLEN SUNION "
    "TIME TTL TYPE XLEN XRANGE XREVRANGE ZCARD ZCOUNT ZMSCORE ZRANGE ZRANGEBYSCORE ZRANK "
    "ZREVRANGE ZREVRANK ZSCAN ZSCORE".split()
)

# They leave the same state however often they run. DEL and PERSIST then count 0 where the first
# run counted 1, which a plan must bear anyway: someone else may have been quicker.
_ABSOLUTE_WRITES: Final = frozenset(
    "DEL EXPIRE EXPIREAT FLUSHALL FLUSHDB GETEX MSET "  # noqa: SIM905 as above
    "PERSIST PEXPIRE PEXPIREAT PSETEX SET SETEX TOUCH UNLINK".split()
)
_EXPIRIES: Final = frozenset({"EXPIRE", "EXPIREAT", "PEXPIRE", "PEXPIREAT"})
_SET_OPTIONS: Final = frozenset({"EX", "PX", "EXAT", "PXAT", "KEEPTTL"})


def safe_to_repeat(batch: Batch) -> bool:
    """Return whether running the batch twice has the effect and the replies of running it once.

    A read that precedes a write is not safe, though each of them is: the second run would read
    what the first run wrote.
    """
    has_read = False
    for command in batch.commands:
        name = str(command[0]).upper()
        if name in _READS:
            has_read = True
        elif has_read or not _is_absolute(name, command):
            return False
    return True


def _is_absolute(name: str, command: Command) -> bool:
    if name == "SET":
        return all(str(option).upper() in _SET_OPTIONS for option in _options(command))
    if name in _EXPIRIES:
        return len(command) == 3  # NX, XX, GT and LT look at what is there
    return name in _ABSOLUTE_WRITES


def _options(command: Command) -> list[object]:
    """Return the option names of a SET, without the number that follows all but KEEPTTL."""
    names: list[object] = []
    rest = iter(command[3:])
    for option in rest:
        names.append(option)
        if str(option).upper() != "KEEPTTL":
            next(rest, None)
    return names
