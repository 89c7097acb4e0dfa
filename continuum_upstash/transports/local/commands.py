"""The commands of the local store. To add one: write its function, name it in the table.

A function takes the keyspace and the arguments as bytes, and returns the reply or raises it when
it is an error. Its signature is its arity.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final

from continuum_upstash.errors import NotSerializable, ReplyError
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash
from continuum_upstash.transports.local import (
    expiry,
    hashes,
    keys,
    server,
    sets,
    sorted_sets,
    strings,
)
from continuum_upstash.transports.local.arguments import integer, wrong_arity
from continuum_upstash.transports.local.keyspace import Keyspace

Function = Callable[..., Reply]
Call = tuple[Function, list[Any]]


def prepare(command: Command) -> Call | ReplyError:
    """Return the call that a command stands for, or the error that any server would give at once.

    Raises:
        TypeError: an argument is neither text, nor bytes, nor a number.
        NotSerializable: a text has no UTF-8 form.
    """
    name = command[0]
    assert isinstance(name, str)
    entry = _TABLE.get(name) or _TABLE.get(name.upper())
    if entry is None:
        return ReplyError(
            f"ERR unknown command '{name}'. The local store has only the commands that caches, "
            "sessions and limits need."
        )
    function, least, most = entry
    arguments = list(map(_encoded, command[1:]))
    if not least <= len(arguments) <= most:
        return wrong_arity(name.lower())
    return function, arguments


def _encoded(argument: object) -> bytes | Script:
    if isinstance(argument, str):
        try:
            return argument.encode()
        except UnicodeEncodeError:
            raise NotSerializable(
                "A key or an option holds a lone surrogate (U+D800 to U+DFFF), which has no UTF-8 "
                "form. Clean the text that the key is made from."
            ) from None
    if isinstance(argument, int):
        return b"%d" % argument
    if isinstance(argument, (bytes, Script)):
        return argument
    if isinstance(argument, ScriptHash):
        return argument.script  # its rule is at hand: nothing here can have forgotten it
    kind = type(argument).__name__
    raise TypeError(f"A command's arguments are str, bytes and int, not {kind}")


def perform(space: Keyspace, call: Call | ReplyError) -> Reply:
    """Return the reply of a prepared command; an error is a value, too."""
    if isinstance(call, ReplyError):
        return call
    function, arguments = call
    try:
        return function(space, *arguments)
    except ReplyError as error:
        # Kept as a value, it must not keep the frames of this call alive.
        return error.with_traceback(None)


def evaluate(space: Keyspace, script: Any, count: bytes, *arguments: bytes) -> Reply:
    """Run a script's rule; like a script, it sees and changes the store alone."""
    if not isinstance(script, Script):
        raise ReplyError("ERR the local store runs no Lua: send a Script, which brings its rule")
    keys_given = integer(count)
    if keys_given < 0:
        raise ReplyError("ERR Number of keys can't be negative")
    if keys_given > len(arguments):
        raise ReplyError("ERR Number of keys can't be greater than number of args")

    def call(*command: Argument) -> Reply:
        reply = perform(space, prepare(command))
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    return script.local_rule(
        call, [key.decode() for key in arguments[:keys_given]], arguments[keys_given:]
    )


COMMANDS: Final[Mapping[str, Function]] = {
    "DBSIZE": server.dbsize,
    "DECR": strings.decr,
    "DECRBY": strings.decrby,
    "DEL": keys.delete,
    "DELEX": strings.delex,
    "ECHO": server.echo,
    "EVAL": evaluate,
    "EVALSHA": evaluate,
    "EXISTS": keys.exists,
    "EXPIRE": expiry.setter("expire", b"EX"),
    "EXPIREAT": expiry.setter("expireat", b"EXAT"),
    "EXPIRETIME": expiry.expiretime,
    "FLUSHALL": server.flush,
    "FLUSHDB": server.flush,
    "GET": strings.get,
    "GETDEL": strings.getdel,
    "GETEX": strings.getex,
    "GETSET": strings.getset,
    "HDEL": hashes.hdel,
    "HGET": hashes.hget,
    "HGETALL": hashes.hgetall,
    "HINCRBY": hashes.hincrby,
    "HMGET": hashes.hmget,
    "HSET": hashes.hset,
    "INCR": strings.incr,
    "INCRBY": strings.incrby,
    "INFO": server.info,
    "MGET": strings.mget,
    "MSET": strings.mset,
    "MSETNX": strings.msetnx,
    "PERSIST": expiry.persist,
    "PEXPIRE": expiry.setter("pexpire", b"PX"),
    "PEXPIREAT": expiry.setter("pexpireat", b"PXAT"),
    "PEXPIRETIME": expiry.pexpiretime,
    "PING": server.ping,
    "PSETEX": strings.psetex,
    "PTTL": expiry.pttl,
    "RENAME": keys.rename,
    "RENAMENX": keys.renamenx,
    "SADD": sets.sadd,
    "SCAN": keys.scan,
    "SCARD": sets.scard,
    "SET": strings.set_,
    "SETEX": strings.setex,
    "SETNX": strings.setnx,
    "SISMEMBER": sets.sismember,
    "SMEMBERS": sets.smembers,
    "SREM": sets.srem,
    "STRLEN": strings.strlen,
    "TIME": server.time_,
    "TOUCH": keys.touch,
    "TTL": expiry.ttl,
    "TYPE": keys.type_,
    "UNLINK": keys.delete,
    "ZADD": sorted_sets.zadd,
    "ZCARD": sorted_sets.zcard,
    "ZRANGE": sorted_sets.zrange,
    "ZRANGEBYSCORE": sorted_sets.zrangebyscore,
    "ZREM": sorted_sets.zrem,
    "ZREMRANGEBYSCORE": sorted_sets.zremrangebyscore,
    "ZSCORE": sorted_sets.zscore,
}


def _with_arity(function: Function) -> tuple[Function, int, float]:
    """Return a function, and the least and the most arguments that follow its keyspace."""
    _, *arguments = inspect.signature(function).parameters.values()
    named = [argument for argument in arguments if argument.kind is not argument.VAR_POSITIONAL]
    least = sum(argument.default is argument.empty for argument in named)
    return function, least, len(named) if len(named) == len(arguments) else inf


_TABLE: Final = {name: _with_arity(function) for name, function in COMMANDS.items()}
