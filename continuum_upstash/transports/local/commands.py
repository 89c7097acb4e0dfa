"""The commands of the local store: those that caches, sessions and rate limits use.

To add a command, write its function, name it in COMMANDS, and set `local` in its row of
`plans/command_table.py` if the store may run it in place of the server.

A function takes the keyspace and the arguments as bytes. It returns the reply, or raises it if it
is an error. Its signature defines the number of arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from types import FunctionType
from typing import Any, Final, cast

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash
from continuum_upstash.transports.base import lone_surrogate_error
from continuum_upstash.transports.local import expiry, generic, server, strings
from continuum_upstash.transports.local.data_types import hashes, lists, sets, sorted_sets
from continuum_upstash.transports.local.keyspace import Keyspace
from continuum_upstash.transports.local.parsing import arity_error, parse_int

Function = Callable[..., Reply]
ParsedCommand = tuple[Function, list[Any]]


def parse(command: Command) -> ParsedCommand | ReplyError:
    """Return a command's function and arguments, or the error that a server returns at once.

    Raises:
        TypeError: an argument is not str, bytes, int or a script.
        NotSerializable: a text has no UTF-8 form.
    """
    name = command[0]
    assert isinstance(name, str)
    entry = _TABLE.get(name) or _TABLE.get(name.upper())
    if entry is None:
        return ReplyError(
            f"ERR unknown command '{name}' in the local store, which runs only the commands that "
            "caches, sessions and rate limits use. Connect to a database to run it."
        )
    function, least, most = entry
    try:
        arguments = [
            argument.encode()
            if type(argument) is str
            else argument
            if type(argument) is bytes
            else _encode(argument)
            for argument in command[1:]
        ]
    except UnicodeEncodeError:
        raise lone_surrogate_error() from None
    if not least <= len(arguments) <= most:
        return arity_error(name.lower())
    return function, arguments


def _encode(argument: object) -> bytes | Script:
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, int):
        return b"%d" % argument
    if isinstance(argument, (bytes, Script)):
        return argument
    if isinstance(argument, ScriptHash):
        return argument.script  # no NOSCRIPT: the script itself is at hand
    kind = type(argument).__name__
    raise TypeError(f"A command's arguments are str, bytes or int, not {kind}")


def execute(space: Keyspace, command: ParsedCommand | ReplyError) -> Reply:
    """Return the reply of a parsed command; an error is returned, too."""
    if isinstance(command, ReplyError):
        return command
    function, arguments = command
    try:
        return function(space, *arguments)
    except ReplyError as error:
        # Without its traceback, the error does not keep the frames of this call alive.
        return error.with_traceback(None)


def run_script(space: Keyspace, script: Any, count: bytes, *arguments: bytes) -> Reply:
    """Run a script's local rule. It reads and writes the keyspace only."""
    if not isinstance(script, Script):
        raise ReplyError("ERR the local store runs no Lua: send a Script with a local rule")
    key_count = parse_int(count)
    if key_count < 0:
        raise ReplyError("ERR Number of keys can't be negative")
    if key_count > len(arguments):
        raise ReplyError("ERR Number of keys can't be greater than number of args")

    def call(*command: Argument) -> Reply:
        reply = execute(space, parse(command))
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    keys_given = [key.decode() for key in arguments[:key_count]]
    return script.local_rule(call, keys_given, arguments[key_count:])


COMMANDS: Final[Mapping[str, Function]] = {
    "DEL": generic.delete,
    "DELEX": strings.delex,
    "EVAL": run_script,
    "EVALSHA": run_script,
    "EXISTS": generic.exists,
    "EXPIRE": expiry.make_expire("expire", b"EX"),
    "EXPIRETIME": expiry.expiretime,
    "FLUSHDB": server.flushdb,
    "GET": Keyspace.get_string,
    "GETDEL": strings.getdel,
    "GETEX": strings.getex,
    "GETRANGE": strings.getrange,
    "HDEL": hashes.hdel,
    "HEXISTS": hashes.hexists,
    "HGET": hashes.hget,
    "HGETALL": hashes.hgetall,
    "HINCRBY": hashes.hincrby,
    "HKEYS": hashes.hkeys,
    "HLEN": hashes.hlen,
    "HMGET": hashes.hmget,
    "HSCAN": hashes.hscan,
    "HSET": hashes.hset,
    "HVALS": hashes.hvals,
    "INCR": strings.incr,
    "INCRBY": strings.incrby,
    "INFO": server.info,
    "LINDEX": lists.lindex,
    "LLEN": lists.llen,
    "LPOP": lists.make_pop(is_left=True),
    "LPUSH": lists.lpush,
    "LRANGE": lists.lrange,
    "LREM": lists.lrem,
    "LSET": lists.lset,
    "LTRIM": lists.ltrim,
    "MGET": strings.mget,
    "MSET": strings.mset,
    "PERSIST": expiry.persist,
    "PEXPIRE": expiry.make_expire("pexpire", b"PX"),
    "PEXPIREAT": expiry.make_expire("pexpireat", b"PXAT"),
    "PEXPIRETIME": expiry.pexpiretime,
    "PING": server.ping,
    "PTTL": expiry.pttl,
    "RENAME": generic.rename,
    "RENAMENX": generic.renamenx,
    "RPOP": lists.make_pop(is_left=False),
    "RPUSH": lists.rpush,
    "SADD": sets.sadd,
    "SCAN": generic.scan,
    "SCARD": sets.scard,
    "SDIFF": sets.make_combine(set.difference),
    "SDIFFSTORE": sets.make_store(set.difference),
    "SET": strings.set_,
    "SINTER": sets.make_combine(set.intersection),
    "SINTERSTORE": sets.make_store(set.intersection),
    "SISMEMBER": sets.sismember,
    "SMEMBERS": sets.smembers,
    "SMISMEMBER": sets.smismember,
    "SMOVE": sets.smove,
    "SPOP": sets.spop,
    "SRANDMEMBER": sets.srandmember,
    "SREM": sets.srem,
    "SSCAN": sets.sscan,
    "STRLEN": strings.strlen,
    "SUNION": sets.make_combine(set.union),
    "SUNIONSTORE": sets.make_store(set.union),
    "TIME": server.time_,
    "TTL": expiry.ttl,
    "TYPE": generic.type_,
    "UNLINK": generic.delete,
    "ZADD": sorted_sets.zadd,
    "ZCARD": sorted_sets.zcard,
    "ZCOUNT": sorted_sets.zcount,
    "ZINCRBY": sorted_sets.zincrby,
    "ZPOPMAX": sorted_sets.make_pop(is_greatest=True),
    "ZPOPMIN": sorted_sets.make_pop(is_greatest=False),
    "ZRANGE": sorted_sets.zrange,
    "ZRANGEBYSCORE": sorted_sets.make_range_by_score(is_reverse=False),
    "ZRANK": sorted_sets.zrank,
    "ZREM": sorted_sets.zrem,
    "ZREMRANGEBYSCORE": sorted_sets.zremrangebyscore,
    "ZREVRANGE": sorted_sets.zrevrange,
    "ZREVRANGEBYSCORE": sorted_sets.make_range_by_score(is_reverse=True),
    "ZSCORE": sorted_sets.zscore,
}


_HAS_VARARGS: Final = 0x04  # inspect.CO_VARARGS


def _add_arity(function: Function) -> tuple[Function, int, float]:
    """Return a function with the smallest and the largest number of its command's arguments."""
    code = cast("FunctionType", function).__code__
    named = code.co_argcount - 1  # without the keyspace
    least = named - len(cast("FunctionType", function).__defaults__ or ())
    return function, least, inf if code.co_flags & _HAS_VARARGS else named


_TABLE: Final = {name: _add_arity(function) for name, function in COMMANDS.items()}
