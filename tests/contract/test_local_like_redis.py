"""The local store and a real Valkey get the same commands at the same millisecond."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.commands import COMMANDS
from tests.contract.command_strategies import (
    ALL,
    ENDS,
    HASHES,
    SCRIPTS,
    SETS,
    SORTED_SETS,
    STRINGS,
    commands_of,
    histories,
)
from tests.contract.differential import Both
from tests.contract.valkey import Server

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Compared in tests of their own, or not a server's to know.
APART = {"EVAL", "EVALSHA", "INFO", "SCAN", "TIME"}

FAMILIES = {
    "strings": commands_of(STRINGS, "PEXPIRETIME", "PERSIST", "SADD"),
    "ends": commands_of(ENDS, "SET", "INCR", "GET", "RENAME", "RENAMENX", "GETEX", "TYPE"),
    "hashes": commands_of(HASHES, "DEL", "RENAME", "TYPE"),
    "sets": commands_of(SETS, "DEL", "RENAME", "TYPE"),
    "sorted sets": commands_of(SORTED_SETS, "DEL", "RENAME", "TYPE"),
    "scripts": st.one_of(SCRIPTS, commands_of({}, "SET", "PTTL", "GET", "SADD")),
    "all": commands_of(ALL),
}


def test_every_command_of_the_local_store_is_compared():
    assert COMMANDS.keys() - APART == ALL.keys()


@pytest.mark.parametrize("family", FAMILIES)
@quick
@given(data=st.data())
def test_any_commands_get_the_replies_of_a_server(server: Server, family: str, data):
    both = Both(server)
    for command in data.draw(histories(FAMILIES[family])):
        theirs, ours = both.run(*command)
        assert ours == theirs, command


def scores_of(server: Server, number: float) -> tuple[bytes, bytes]:
    both = Both(server)
    both.run("ZADD", "z", repr(number), b"m")
    return both.run("ZSCORE", "z", b"m")


@settings(quick, max_examples=200)
@given(digits=st.integers(-99_999, 99_999), exponent=st.integers(-12, 12))
def test_a_short_score_is_printed_as_a_server_prints_it(server, digits, exponent):
    theirs, ours = scores_of(server, float(f"{digits}e{exponent}"))
    assert ours == theirs


@settings(quick, max_examples=200)
@given(number=st.floats(allow_nan=False))
def test_any_score_is_printed_as_the_number_that_a_server_prints(server, number):
    theirs, ours = scores_of(server, number)
    # A server's algorithm (Grisu2) now and then misses the shortest text; ours does not.
    assert float(ours) == float(theirs) == number
    assert len(ours) <= len(theirs)


PATTERN = st.text(alphabet="ab*?[]^-\\", max_size=8)


@settings(quick, max_examples=200)
@given(
    pattern=PATTERN,
    keys=st.sets(st.text(alphabet="abc-]^\\[*", min_size=1, max_size=5), max_size=30),
)
def test_a_pattern_matches_the_keys_that_a_server_finds(
    server: Server, pattern: str, keys: set[str]
):
    both = Both(server)
    for key in keys:
        both.run("SET", key, b"")
    theirs, ours = both.run("SCAN", 0, "MATCH", pattern, "COUNT", 1000)
    assert set(ours[1]) == set(theirs[1])


@pytest.mark.parametrize("pattern", ["k*", "*1", "*", "none"])
@pytest.mark.parametrize("kind", ["string", "SET", "hash", "zset", "list"])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_whole_scan_returns_what_a_servers_scan_returns(server, pattern, kind, count):
    both = Both(server)
    for n in range(40):
        both.run(("SET", "SADD")[n % 2], f"k{n}", b"member")
    words = ("MATCH", pattern, "COUNT", count, "TYPE", kind)
    assert scanned(both.ours, words) == scanned(both.theirs, words)


def scanned(call: Callable[..., Reply], words: tuple[str | int, ...]) -> set[bytes]:
    found: set[bytes] = set()
    cursor: str | bytes = b"0"
    while True:
        cursor, keys = call("SCAN", cursor.decode(), *words)
        found.update(keys)
        if cursor == b"0":
            return found


@pytest.mark.parametrize(
    "words",
    [
        ("x",), ("",), ("-1",), ("1x",), (2**64,), (0, "COUNT"), (0, "COUNT", 0), (0, "COUNT", "x"),
        (0, "TYPE", "odd"), (0, "ODD", 1), (), (0, "MATCH", "a", "COUNT", -1), (2**64 - 1,),
    ],
)  # fmt: skip
def test_a_scan_that_is_asked_for_wrongly_gets_the_servers_error(server, words):
    theirs, ours = Both(server).run("SCAN", *words)
    assert ours == theirs


def test_a_key_ends_at_the_millisecond_at_which_it_ends_on_a_server(server):
    both = Both(server)
    both.run("SET", "k", b"v", "PX", 30)
    left = 30
    while left != -2:
        assert both.run("GET", "k") in [(b"v", b"v"), (None, None)]
        left, ours = both.run("PTTL", "k")
        assert ours == left
