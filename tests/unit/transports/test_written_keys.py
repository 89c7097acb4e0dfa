"""Which keys a batch changes, and which batches nobody may answer in the database's place."""

from __future__ import annotations

import pytest

from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.keyvalue import INCR_EXISTING
from continuum_upstash.protocol import ScriptHash
from continuum_upstash.transports.local.commands import COMMANDS
from continuum_upstash.transports.written_keys import _WRITTEN, written_keys

# What the local store can answer about itself, but not in the database's place.
WHOLE_DATABASE = {"DBSIZE", "ECHO", "FLUSHALL", "FLUSHDB", "INFO", "PING", "SCAN", "TIME"}


@pytest.mark.parametrize(
    ("command", "written"),
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
def test_the_keys_of_a_command(command, written):
    assert written_keys(Batch((command,))) == written


def test_a_batchs_keys_are_those_of_all_its_commands():
    batch = Batch((("SET", "a", b"1"), ("GET", "b"), ("DEL", "c", "d")))
    assert written_keys(batch) == ["a", "c", "d"]


@pytest.mark.parametrize(
    "command", [*((name,) for name in WHOLE_DATABASE), ("XADD", "k"), ("EVAL", "return 1", 0)]
)
def test_nobody_answers_in_the_databases_place(command):
    assert written_keys(Batch((("GET", "k"), command))) is None


def test_every_command_of_the_local_store_is_accounted_for():
    assert _WRITTEN.keys() | WHOLE_DATABASE | {"EVAL", "EVALSHA"} == COMMANDS.keys()
