"""Commands that Valkey does not have (DELEX of Redis 8.4 and Upstash), TIME and INFO."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from continuum_upstash.transports.local.commands import COMMANDS


@pytest.mark.parametrize(
    ("condition", "deleted"),
    [(("IFEQ", b"v"), 1), (("ifeq", b"v"), 1), (("IFEQ", b"w"), 0)],
)
def test_delex_deletes_if_its_condition_is_met(call, condition, deleted):
    call("SET", "k", b"v")
    assert call("DELEX", "k", *condition) == deleted
    assert call("EXISTS", "k") == 1 - deleted
    assert call("DELEX", "missing", *condition) == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "ERR wrong number of arguments for 'delex' command"),
        (("IFEQ",), "ERR wrong number of arguments for 'delex' command"),
        (("IFNE", b"v"), "ERR syntax error, or an option that the local store does not support"),
    ],
)
def test_delex_rejects_other_arguments(call, arguments, error):
    assert str(call("DELEX", "k", *arguments)) == error


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "k", b"v", "GET"),
        ("SET", "k", b"v", "IFNE", b"w"),
        ("SCAN", 0, "TYPE", "string"),
        ("ZADD", "z", 1, b"m", 2),
        ("ZRANGE", "z", 0, 1, "BYSCORE"),
        ("ZREVRANGE", "z", 0, 1, "REV"),
    ],
)
def test_an_option_that_is_not_supported_is_named_as_the_reason(call, command):
    assert "an option that the local store does not support" in str(call(*command))


@pytest.mark.parametrize("name", ["DECR", "SETEX", "ZREVRANK", "lpushx"])
def test_a_command_that_is_not_supported_is_an_error_with_a_remedy(call, name):
    assert str(call(name, "k", b"v")) == (
        f"ERR unknown command '{name}' in the local store, which runs only the commands that "
        "caches, sessions and rate limits use. Connect to a database to run it."
    )


def test_time_returns_the_clocks_seconds_and_microseconds(call, clock):
    clock.ms = 1_234_567
    assert call("TIME") == [b"1234", b"567000"]


def fields_of(text):
    return dict(line.split(":") for line in text.decode().split("\r\n") if ":" in line)


def test_info_counts_hits_misses_expired_keys_and_keys(call, clock):
    call("SET", "k", b"v")
    call("SET", "short", b"v", "PX", 10)
    call("GET", "k")
    clock.ms += 1_000
    call("GET", "short")
    fields = fields_of(call("INFO"))
    assert fields["keyspace_hits"] == "1"
    assert fields["keyspace_misses"] == "1"
    assert fields["expired_keys"] == "1"
    assert fields["db0"] == "keys=1,expires=0,avg_ttl=0"
    assert fields["maxmemory_policy"] == "allkeys-lru"


def test_info_prints_its_sections(call):
    lines = call("INFO").decode().split("\r\n")
    headings = [line for line in lines if line.startswith("#")]
    assert headings == ["# Server", "# Memory", "# Stats", "# Keyspace"]


def test_the_documentation_lists_the_commands():
    page = Path(__file__).parents[4] / "docs/reference/api.md"
    _, _, text = page.read_text().partition("In local mode these commands run in the local store")
    scripts = {"EVAL", "EVALSHA"}  # only the package's own
    assert set(re.findall(r"`([A-Z]+)`", text.partition("## Channels")[0])) == (
        COMMANDS.keys() - scripts
    )
