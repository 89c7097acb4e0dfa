"""Random commands have the same replies in the local store and on a real Valkey."""

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
    draw_commands,
    draw_histories,
)
from tests.contract.differential import DifferentialStore
from tests.contract.valkey import Server

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Compared in other tests, or without an equivalent on a server.
NOT_COMPARED = {"EVAL", "EVALSHA", "INFO", "SCAN", "TIME"}

FAMILIES = {
    "strings": draw_commands(STRINGS, "PEXPIRETIME", "PERSIST", "SADD"),
    "ends": draw_commands(ENDS, "SET", "INCR", "GET", "RENAME", "RENAMENX", "GETEX", "TYPE"),
    "hashes": draw_commands(HASHES, "DEL", "RENAME", "TYPE"),
    "sets": draw_commands(SETS, "DEL", "RENAME", "TYPE"),
    "sorted sets": draw_commands(SORTED_SETS, "DEL", "RENAME", "TYPE"),
    "scripts": st.one_of(SCRIPTS, draw_commands({}, "SET", "PTTL", "GET", "SADD")),
    "all": draw_commands(ALL),
}


def test_every_command_of_the_local_store_is_compared():
    assert COMMANDS.keys() - NOT_COMPARED == ALL.keys()


@pytest.mark.parametrize("family", FAMILIES)
@quick
@given(data=st.data())
def test_any_commands_have_the_replies_of_a_server(server: Server, family: str, data):
    both = DifferentialStore(server)
    for command in data.draw(draw_histories(FAMILIES[family])):
        from_server, from_local = both.run(*command)
        assert from_local == from_server, command


def add_score(server: Server, number: float) -> tuple[bytes, bytes]:
    both = DifferentialStore(server)
    both.run("ZADD", "z", repr(number), b"m")
    return both.run("ZSCORE", "z", b"m")


@settings(quick, max_examples=200)
@given(digits=st.integers(-99_999, 99_999), exponent=st.integers(-12, 12))
def test_a_short_score_is_printed_as_a_server_prints_it(server, digits, exponent):
    from_server, from_local = add_score(server, float(f"{digits}e{exponent}"))
    assert from_local == from_server


@settings(quick, max_examples=200)
@given(number=st.floats(allow_nan=False))
def test_any_score_is_printed_as_the_number_that_a_server_prints(server, number):
    from_server, from_local = add_score(server, number)
    # A server's algorithm (Grisu2) does not always find the shortest text; ours does.
    assert float(from_local) == float(from_server) == number
    assert len(from_local) <= len(from_server)


PATTERN = st.text(alphabet="ab*?[]^-\\", max_size=8)


@settings(quick, max_examples=200)
@given(
    pattern=PATTERN,
    keys=st.sets(st.text(alphabet="abc-]^\\[*", min_size=1, max_size=5), max_size=30),
)
def test_a_pattern_matches_the_keys_that_a_server_finds(
    server: Server, pattern: str, keys: set[str]
):
    both = DifferentialStore(server)
    for key in keys:
        both.run("SET", key, b"")
    from_server, from_local = both.run("SCAN", 0, "MATCH", pattern, "COUNT", 1000)
    assert set(from_local[1]) == set(from_server[1])


@pytest.mark.parametrize("pattern", ["k*", "*1", "*", "none"])
@pytest.mark.parametrize("kind", ["string", "SET", "hash", "zset", "list"])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_whole_scan_returns_the_keys_of_a_server_s_scan(server, pattern, kind, count):
    both = DifferentialStore(server)
    for n in range(40):
        both.run(("SET", "SADD")[n % 2], f"k{n}", b"member")
    words = ("MATCH", pattern, "COUNT", count, "TYPE", kind)
    assert scan_all(both.run_locally, words) == scan_all(both.run_on_server, words)


def scan_all(call: Callable[..., Reply], words: tuple[str | int, ...]) -> set[bytes]:
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
def test_an_invalid_scan_has_the_server_s_error(server, words):
    from_server, from_local = DifferentialStore(server).run("SCAN", *words)
    assert from_local == from_server


def test_a_key_expires_at_the_same_millisecond_as_on_a_server(server):
    both = DifferentialStore(server)
    both.run("SET", "k", b"v", "PX", 30)
    left = 30
    while left != -2:
        assert both.run("GET", "k") in [(b"v", b"v"), (None, None)]
        left, from_local = both.run("PTTL", "k")
        assert from_local == left
