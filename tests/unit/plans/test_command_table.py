"""Every command has a row in the command table, and the functions that read it."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from redis.commands import core

import continuum_upstash
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.command_table import (
    COMMANDS,
    get_spec,
    have_known_types,
    is_retryable,
    list_changed_keys,
    list_written_keys,
)
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, ScriptHash
from continuum_upstash.transports.local.commands import COMMANDS as LOCAL_COMMANDS

# The local store runs them, but its result says nothing about the server.
WHOLE_DATABASE = {"FLUSHDB", "INFO", "PING", "SCAN", "TIME"}

# It runs them in local mode only. During an outage it has only a part of a collection.
COLLECTIONS = {
    *("HDEL", "HEXISTS", "HINCRBY", "HKEYS", "HLEN", "HSCAN", "HVALS"),
    *("LINDEX", "LLEN", "LPOP", "LPUSH", "LRANGE", "LREM", "LSET", "LTRIM", "RPOP", "RPUSH"),
    *("SCARD", "SDIFF", "SDIFFSTORE", "SINTER", "SINTERSTORE", "SISMEMBER", "SMISMEMBER", "SMOVE"),
    *("SPOP", "SRANDMEMBER", "SREM", "SSCAN", "SUNION", "SUNIONSTORE"),
    *("ZCARD", "ZCOUNT", "ZINCRBY", "ZPOPMAX", "ZPOPMIN", "ZRANGEBYSCORE", "ZRANK", "ZREVRANGE"),
    "ZREVRANGEBYSCORE",
}


PACKAGE = Path(continuum_upstash.__file__).parent
REDIS_COMMANDS = set(re.findall(r'execute_command\(\s*"([A-Z_]+)', inspect.getsource(core)))


def list_words(path):
    """Return the string constants of a module, and the commands of the scripts in them."""
    nodes = ast.walk(ast.parse(path.read_text()))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    texts = [text for text in texts if isinstance(text, str)]
    return {*texts, *re.findall(r"redis\.p?call\('(\w+)'", "\n".join(texts))}


def test_every_command_that_the_package_sends_has_a_row():
    words = set()
    for path in PACKAGE.rglob("*.py"):
        if "emulator" not in path.parts:
            words |= list_words(path)
    for path in PACKAGE.rglob("*.lua"):
        words |= set(re.findall(r"redis\.p?call\('(\w+)'", path.read_text()))
    sent = words & REDIS_COMMANDS
    assert sent > {"GET", "SET", "MGET", "SCAN", "INFO", "ZADD"}
    assert sent - COMMANDS.keys() == set()


def test_the_local_store_runs_exactly_the_commands_that_the_table_says():
    local = {name for name, spec in COMMANDS.items() if spec.local}
    assert local | WHOLE_DATABASE | COLLECTIONS == LOCAL_COMMANDS.keys()
    assert not local & (WHOLE_DATABASE | COLLECTIONS)


def test_a_row_is_found_by_a_name_in_any_case():
    assert get_spec(("get", "k")) is COMMANDS["GET"]
    assert not get_spec(("NOSUCHCOMMAND",)).local


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("GET", "k"), []),
        (("get", "k"), []),
        (("MGET", "k", "l"), []),
        (("SET", "k", b"v", "PX", 5), ["k"]),
        (("set", "k", b"v"), ["k"]),
        (("MSET", "k", b"v", "l", b"w"), ["k", "l"]),
        (("DEL", "k", "l"), ["k", "l"]),
        (("RENAME", "k", "l"), ["k", "l"]),
        (("RENAMENX", "k", "l"), ["k", "l"]),
        (("EVAL", INCR_EXISTING, 1, "k", 5), ["k"]),
        (("EVALSHA", ScriptHash(INCR_EXISTING), 1, "k", 5), ["k"]),
        (("EVAL", INCR_EXISTING, "2", "k", "l", 5), ["k", "l"]),
        (("HSET", "k", "field", b"v"), ["k"]),
    ],
)
def test_the_keys_of_a_command(command, keys):
    assert list_written_keys(Batch((command,))) == keys


def test_the_keys_of_a_batch_are_those_of_its_commands():
    batch = Batch((("SET", "a", b"1"), ("GET", "b"), ("DEL", "c", "d")))
    assert list_written_keys(batch) == ["a", "c", "d"]


@pytest.mark.parametrize(
    "command",
    [
        *((name,) for name in WHOLE_DATABASE),
        ("DBSIZE",),
        ("XADD", "k"),
        ("EVAL", "return 1", 0),
        ("EVAL",),
    ],
)
def test_commands_that_only_the_server_can_run(command):
    assert list_written_keys(Batch((("GET", "k"), command))) is None


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("GET", "a"), []),
        (("PING",), []),
        (("MULTI",), []),
        (("SCAN", "0"), []),
        (("set", "a", b"1"), ["a"]),
        (("SET", "ä".encode(), b"1"), ["ä"]),
        (("MSET", "a", b"1", "b", b"1"), ["a", "b"]),
        (("HEXPIRE", "a", 1), ["a"]),
        (("EVAL", INCR_EXISTING, 1, "a", 1), ["a"]),
        (("EVALSHA", ScriptHash(INCR_EXISTING), 1, "a", 1), ["a"]),
        (("EVAL_RO", "return 1", 0), []),
        (("EVAL", "return 1", 1, "a"), None),
        (("EVAL",), None),
        (("FLUSHDB",), None),
        (("FLUSHALL",), None),
        (("APPEND", "a", "x"), None),
        (("XADD", "a", "*", "f", "v"), ["a"]),
    ],
)
def test_the_keys_that_a_command_may_change(command, keys):
    assert list_changed_keys(Batch((command,))) == keys


GET: Command = ("GET", "k")
SET: Command = ("SET", "k", b"v")


@pytest.mark.parametrize(
    "command",
    [
        GET,
        ("get", "k"),
        ("MGET", "a", "b"),
        ("SCAN", "0", "MATCH", "x*"),
        ("PING",),
        ("INFO",),
        SET,
        ("SET", "k", b"v", "PX", 100),
        ("SET", "k", b"v", "px", 100),
        ("SET", "k", b"v", "KEEPTTL"),
        ("SET", "k", b"NX"),
        ("PSETEX", "k", 100, b"v"),
        ("MSET", "a", b"1", "b", b"2"),
        ("DEL", "a", "b"),
        ("UNLINK", "a"),
        ("EXPIRE", "k", 60),
        ("PEXPIREAT", "k", 1_900_000_000_000),
        ("PERSIST", "k"),
        ("GETEX", "k", "EX", 60),
    ],
)
def test_reads_and_idempotent_writes_are_retryable(command):
    assert is_retryable(Batch([command]))


@pytest.mark.parametrize(
    "command",
    [
        ("INCR", "k"),
        ("INCRBY", "k", 1),
        ("DECRBY", "k", 1),
        ("APPEND", "k", b"v"),
        ("LPUSH", "k", b"v"),
        ("GETDEL", "k"),
        ("GETSET", "k", b"v"),
        ("EVAL", "return 1", 0),
        ("EVALSHA", "abc", 0),
        ("SETNX", "k", b"v"),
        ("SET", "k", b"v", "NX"),
        ("SET", "k", b"v", "PX", 100, "XX"),
        ("SET", "k", b"v", "GET"),
        ("SET", "k", b"v", "IFEQ", "x"),
        ("EXPIRE", "k", 60, "NX"),
        ("MSETNX", "a", b"1"),
        ("NOSUCHCOMMAND",),
    ],
)
def test_a_command_that_depends_on_the_data_is_not_retryable(command):
    assert not is_retryable(Batch([command]))


@pytest.mark.parametrize(
    ("commands", "safe"),
    [
        ([GET, GET], True),
        ([SET, ("DEL", "a")], True),
        ([SET, GET], True),
        ([GET, SET], False),
        ([GET, ("DEL", "k")], False),
        ([SET, ("INCR", "n")], False),
    ],
)
def test_a_read_before_a_write_makes_a_batch_not_retryable(commands, safe):
    assert is_retryable(Batch(commands)) is safe
    assert is_retryable(Batch(commands, atomic=True)) is safe


def test_replies_are_known_by_their_types_only_where_each_reply_is():
    get, read_many = ("GET", "a"), ("MGET", "a", "b")
    error = ReplyError("WRONGTYPE")
    for commands, replies, known in (
        ([get], [b"1"], True),
        ([get], [None], True),
        ([get], [1], False),
        ([get], [error], False),
        ([get], [], False),
        ([read_many], [[b"1", None]], False),  # the length counts, too
        ([get, get, ("INCR", "n")], [b"1", None, 5], True),
        ([get, get, ("INCR", "n")], [b"1", 5, 5], False),
        ([get, get], [b"1", error], False),
        ([get, get], [b"1"], False),
    ):
        assert have_known_types(commands, replies) is known
