"""The local store and a real Valkey return the same replies at the same millisecond."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.commands import COMMANDS
from continuum_upstash.transports.local.data_types.scores import SortedSet
from continuum_upstash.transports.local.keyspace import ENTRY_BYTES, MEMBER_BYTES
from tests.contract.command_strategies import (
    ALL,
    EXPIRY,
    HASHES,
    LISTS,
    SCRIPTS,
    SETS,
    SORTED_SETS,
    STRINGS,
    draw_commands,
    draw_histories,
)
from tests.contract.differential import DifferentialStore
from tests.valkey_connection import ValkeyConnection

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Compared in tests of their own, or different on every server.
SEPARATE = {"EVAL", "EVALSHA", "HSCAN", "INFO", "SCAN", "SPOP", "SRANDMEMBER", "SSCAN", "TIME"}

FAMILIES = {
    "strings": draw_commands(STRINGS, "PEXPIRETIME", "PERSIST", "SADD"),
    "expiry": draw_commands(EXPIRY, "SET", "INCR", "GET", "RENAME", "RENAMENX", "GETEX", "TYPE"),
    "hashes": draw_commands(HASHES, "DEL", "RENAME", "TYPE"),
    "lists": draw_commands(LISTS, "DEL", "RENAME", "TYPE", "EXPIRE"),
    "sets": draw_commands(SETS, "DEL", "RENAME", "TYPE"),
    "sorted sets": draw_commands(SORTED_SETS, "DEL", "RENAME", "TYPE"),
    "scripts": st.one_of(SCRIPTS, draw_commands({}, "SET", "PTTL", "GET", "SADD")),
    "all": draw_commands(ALL),
}


def test_every_command_of_the_local_store_is_compared():
    assert COMMANDS.keys() - SEPARATE == ALL.keys()


@pytest.mark.parametrize("family", FAMILIES)
@quick
@given(data=st.data())
def test_any_commands_have_the_replies_of_a_server(server: ValkeyConnection, family: str, data):
    stores = DifferentialStore(server)
    for command in data.draw(draw_histories(FAMILIES[family])):
        stores.run_both(*command)
    space = stores.local._space
    assert {key: entry.size for key, entry in space._entries.items()} == {
        key: len(key) + measure(entry.value) + ENTRY_BYTES for key, entry in space._entries.items()
    }


def measure(value) -> int:
    """Return the bytes that the bounds of the local store count for a value."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, SortedSet):
        value = [member for _, member in value._order]
    parts = value.items() if isinstance(value, dict) else ((each,) for each in value)
    return sum(sum(map(len, part)) + MEMBER_BYTES for part in parts)


def run_zscore(server: ValkeyConnection, number: float) -> tuple[bytes, bytes]:
    stores = DifferentialStore(server)
    stores.run("ZADD", "z", repr(number), b"m")
    return stores.run("ZSCORE", "z", b"m")


@settings(quick, max_examples=200)
@given(digits=st.integers(-99_999, 99_999), exponent=st.integers(-4, 12))
def test_a_short_score_is_formatted_as_on_a_server(server, digits, exponent):
    remote, local = run_zscore(server, float(f"{digits}e{exponent}"))
    assert local == remote


@settings(quick, max_examples=200)
@given(number=st.floats(allow_nan=False))
def test_any_score_is_returned_as_the_same_number(server, number):
    remote, local = run_zscore(server, number)
    assert float(local) == float(remote) == number


PATTERN = st.text(alphabet="ab*?[]^-\\", max_size=8)


@settings(quick, max_examples=200)
@given(
    pattern=PATTERN,
    keys=st.sets(st.text(alphabet="abc-]^\\[*", min_size=1, max_size=5), max_size=30),
)
def test_a_pattern_matches_the_keys_that_a_server_finds(
    server: ValkeyConnection, pattern: str, keys: set[str]
):
    stores = DifferentialStore(server)
    for key in keys:
        stores.run("SET", key, b"")
    remote, local = stores.run("SCAN", 0, "MATCH", pattern, "COUNT", 1000)
    assert set(local[1]) == set(remote[1])


@pytest.mark.parametrize("pattern", ["k*", "*1", "*", "none"])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_whole_scan_returns_the_keys_that_a_servers_scan_returns(server, pattern, count):
    stores = DifferentialStore(server)
    for n in range(40):
        stores.run(("SET", "SADD")[n % 2], f"k{n}", b"member")
    options = ("MATCH", pattern, "COUNT", count)
    remote = scan_all(lambda *command: stores.run(*command)[0], options)
    local = scan_all(lambda *command: stores.run(*command)[1], options)
    assert local == remote


def scan_all(call: Callable[..., Reply], options: tuple[str | int, ...]) -> set[bytes]:
    found: set[bytes] = set()
    cursor: str | bytes = b"0"
    while True:
        cursor, keys = call("SCAN", cursor.decode(), *options)
        found.update(keys)
        if cursor == b"0":
            return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("x",), ("",), ("-1",), ("1x",), (2**64,), (0, "COUNT"), (0, "COUNT", 0), (0, "COUNT", "x"),
        (0, "ODD", 1), (), (0, "MATCH", "a", "COUNT", -1), (2**64 - 1,),
    ],
)  # fmt: skip
def test_an_invalid_scan_returns_the_servers_error(server, arguments):
    DifferentialStore(server).run_both("SCAN", *arguments)


def test_a_key_expires_at_the_same_millisecond_as_on_a_server(server):
    stores = DifferentialStore(server)
    stores.run("SET", "k", b"v", "PX", 30)
    left = 30
    while left != -2:
        assert stores.run("GET", "k") in [(b"v", b"v"), (None, None)]
        left, local = stores.run("PTTL", "k")
        assert local == left
