from __future__ import annotations

import pytest

from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command
from continuum_upstash.transports.idempotent import safe_to_repeat

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
def test_reads_and_absolute_writes_may_be_repeated(command):
    assert safe_to_repeat(Batch([command]))


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
def test_whatever_depends_on_what_is_there_is_sent_once(command):
    assert not safe_to_repeat(Batch([command]))


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
def test_a_read_before_a_write_would_read_the_first_runs_write(commands, safe):
    assert safe_to_repeat(Batch(commands)) is safe
    assert safe_to_repeat(Batch(commands, atomic=True)) is safe
