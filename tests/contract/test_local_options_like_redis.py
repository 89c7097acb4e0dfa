"""Every combination of a command's options on every kind of key, compared with a real Valkey."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tests.contract.command_strategies import flatten
from tests.contract.differential import DifferentialStore

FAR = 4_000_000_000_000  # ms since the epoch
STATES = {
    "missing": [],
    "lasting": [("SET", "k", b"5")],
    "ending": [("SET", "k", b"5", "PXAT", FAR)],
    "a set": [("SADD", "k", b"m")],
    "a set that ends": [("SADD", "k", b"m"), ("PEXPIREAT", "k", FAR)],
    "scored": [("ZADD", "k", 1, b"m", 2, b"n", 3, b"o")],
}
AFTERWARDS = [
    ("TYPE", "k"),
    ("PEXPIRETIME", "k"),
    ("GET", "k"),
    ("ZRANGE", "k", 0, -1, "WITHSCORES"),
]


@pytest.fixture
def both(server):
    return DifferentialStore(server)


@pytest.fixture(params=STATES)
def check_same(both, request):
    """Return a function that asserts the same reply and the same effect on one kind of key."""

    def check(*parts):
        for command in (("DEL", "k"), *STATES[request.param], tuple(flatten(parts)), *AFTERWARDS):
            from_server, from_local = both.run(*command)
            assert from_local == from_server, (flatten(parts), command)

    return check


CONDITIONS = [(), "NX", "XX", ("IFEQ", b"5"), ("IFEQ", b"6")]
LIVES = [(), ("EX", 100), ("PX", 100), ("EXAT", 1), ("PXAT", 1), ("PXAT", FAR + 1), "KEEPTTL"]


def test_set(check_same):
    for condition, life, returns in product(CONDITIONS, LIVES, [(), "GET"]):
        check_same("SET", "k", b"7", condition, life, returns)


@pytest.mark.parametrize(
    "command", ["SETNX", "GETSET", "GETDEL", "INCR", "DECR", "STRLEN", "PERSIST"]
)
def test_commands_without_options(check_same, command):
    check_same(command, "k", *([b"7"] if command in {"SETNX", "GETSET"} else []))


def test_getex(check_same):
    for life in [*LIVES, "PERSIST"]:
        check_same("GETEX", "k", life)


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        ("EXPIRE", [100, 0, -1]),
        ("PEXPIRE", [100_000, 0, -1]),
        ("EXPIREAT", [FAR // 1000 - 1, FAR // 1000, FAR // 1000 + 1, 1]),
        ("PEXPIREAT", [FAR - 1, FAR, FAR + 1, 1]),
    ],
)
def test_expire(check_same, command, ends):
    words = ["NX", "XX", "GT", "LT"]
    choices = [choice for size in range(4) for choice in combinations(words, size)]
    for end, options in product(ends, choices):
        check_same(command, "k", end, options)


def test_zadd(check_same):
    words = [
        some for size in range(4) for some in combinations(["NX", "XX", "GT", "LT", "CH"], size)
    ]
    for options, score in product(words, [1, 2, 3]):
        check_same("ZADD", "k", options, score, b"n")
        check_same("ZADD", "k", options, score, b"new", score, b"n")


LIMITS = [(), *(("LIMIT", offset, count) for offset in (-1, 0, 1, 5) for count in (-1, 0, 1, 5))]


def test_zrange_by_rank(check_same):
    for start, stop, reverse in product(range(-4, 5), range(-4, 5), [(), "REV"]):
        check_same("ZRANGE", "k", start, stop, reverse)
    for limit, scores in product(LIMITS, [(), "WITHSCORES"]):
        check_same("ZRANGE", "k", 0, -1, limit, scores)


def test_zrange_by_score(check_same):
    bounds = ["-inf", "(-inf", "1", "(1", "(2", "2.5", "3", "(3", "inf", "(inf"]
    for low, high, reverse in product(bounds, bounds, [(), "REV"]):
        check_same("ZRANGE", "k", low, high, "BYSCORE", reverse)
    for limit, reverse in product(LIMITS, [(), "REV"]):
        check_same(
            "ZRANGE",
            "k",
            *(("inf", "-inf") if reverse else ("-inf", "inf")),
            "BYSCORE",
            reverse,
            limit,
        )
        check_same("ZRANGEBYSCORE", "k", "(1", "3", limit)


def test_zremrangebyscore(check_same):
    for low, high in product(["-inf", "(1", "2", "(3"], ["(1", "2", "(3", "inf"]):
        check_same("ZREMRANGEBYSCORE", "k", low, high)


def test_rename(both):
    for source, target in product(STATES, STATES):
        for command in ("RENAME", "RENAMENX"):
            prepare = [("FLUSHALL",)]
            prepare += [(name, "source", *rest) for name, _, *rest in STATES[source]]
            prepare += STATES[target]
            looks = [*AFTERWARDS, ("TYPE", "source"), ("DBSIZE",)]
            for step in [*prepare, (command, "source", "k"), *looks]:
                from_server, from_local = both.run(*step)
                assert from_local == from_server, (source, target, step)
