"""What Valkey cannot be asked about: commands of Redis 8.4 and Upstash, and the store's own."""

from __future__ import annotations

import pytest

from tests.unit.transports.local.local_store import Store


@pytest.fixture
def local():
    return Store()


@pytest.fixture
def clock(local):
    return local.clock


@pytest.fixture
def call(local):
    return local.call


@pytest.mark.parametrize(
    ("stored", "condition", "reply", "after"),
    [
        (b"old", ("IFNE", b"other"), b"OK", b"new"),
        (b"old", ("IFNE", b"old"), None, b"old"),
        (None, ("IFNE", b"old"), b"OK", b"new"),
        (b"old", ("IFNE", b"other", "GET"), b"old", b"new"),
        (b"old", ("IFNE", b"old", "GET"), b"old", b"old"),
    ],
)
def test_set_ifne_stores_unless_the_key_holds_that_value(call, stored, condition, reply, after):
    if stored is not None:
        call("SET", "k", stored)
    assert call("SET", "k", b"new", *condition) == reply
    assert call("GET", "k") == after


@pytest.mark.parametrize(
    ("condition", "deleted"),
    [((), 1), (("IFEQ", b"v"), 1), (("IFEQ", b"w"), 0), (("IFNE", b"v"), 0), (("ifne", b"w"), 1)],
)
def test_delex_deletes_if_its_condition_holds(call, condition, deleted):
    call("SET", "k", b"v")
    assert call("DELEX", "k", *condition) == deleted
    assert call("EXISTS", "k") == 1 - deleted
    assert call("DELEX", "missing", *condition) == 0


@pytest.mark.parametrize("words", [("IFEQ",), ("ODD", b"v"), ("IFEQ", b"v", b"w")])
def test_delex_refuses_other_words(call, words):
    assert str(call("DELEX", "k", *words)) == "ERR syntax error"


def test_time_is_the_clocks_seconds_and_microseconds(call, clock):
    clock.ms = 1_234_567
    assert call("TIME") == [b"1234", b"567000"]


def fields_of(text):
    return dict(line.split(":") for line in text.decode().split("\r\n") if ":" in line)


def test_info_counts_hits_misses_ends_and_keys(call, clock):
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


@pytest.mark.parametrize(
    ("sections", "headings"),
    [
        (("stats",), ["# Stats"]),
        (("MEMORY", "stats"), ["# Memory", "# Stats"]),
        (("nothing",), []),
        (("all",), ["# Server", "# Memory", "# Stats", "# Keyspace"]),
        ((), ["# Server", "# Memory", "# Stats", "# Keyspace"]),
    ],
)
def test_info_prints_the_sections_that_are_asked_for(call, sections, headings):
    lines = call("INFO", *sections).decode().split("\r\n")
    assert [line for line in lines if line.startswith("#")] == headings


@pytest.mark.parametrize(
    ("limit", "human"), [(512, "512B"), (2048, "2.00K"), (1536 * 1024**2, "1.50G")]
)
def test_info_prints_sizes_as_redis_does(limit, human):
    text = Store(local_max_bytes=limit).call("INFO", "memory")
    assert fields_of(text)["maxmemory_human"] == human
