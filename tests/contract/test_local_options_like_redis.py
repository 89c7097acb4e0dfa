"""Every combination of a command's options, on every type of key: the replies of a real Valkey."""

from __future__ import annotations

from itertools import product

import pytest

from tests.contract.command_strategies import flatten
from tests.contract.differential import DifferentialStore

FAR = 4_000_000_000_000  # ms since the epoch
STATES = {
    "missing": [],
    "persistent": [("SET", "k", b"5")],
    "expiring": [("SET", "k", b"5", "PXAT", FAR)],
    "a set": [("SADD", "k", b"m")],
    "an expiring set": [("SADD", "k", b"m"), ("PEXPIREAT", "k", FAR)],
    "a sorted set": [("ZADD", "k", 1, b"m", 2, b"n", 3, b"o")],
}
CHECKS = [
    ("TYPE", "k"),
    ("PEXPIRETIME", "k"),
    ("GET", "k"),
    ("ZRANGE", "k", 0, -1),
    ("ZSCORE", "k", b"n"),
]


@pytest.fixture
def stores(server):
    return DifferentialStore(server)


@pytest.fixture(params=STATES)
def same(stores, request):
    """Return an assertion: a command has the same reply and the same effect on a type of key."""

    def check(*parts):
        command = tuple(flatten(parts))
        for step in (("DEL", "k"), *STATES[request.param], command, *CHECKS):
            remote, local = stores.run(*step)
            assert local == remote, (command, step)

    return check


CONDITIONS = [(), "NX", "XX", ("IFEQ", b"5"), ("IFEQ", b"6")]
EXPIRIES = [(), ("EX", 100), ("PX", 100), ("EXAT", 1), ("PXAT", 1), ("PXAT", FAR + 1), "KEEPTTL"]


def test_set(same):
    for condition, expiry in product(CONDITIONS, EXPIRIES):
        same("SET", "k", b"7", condition, expiry)


@pytest.mark.parametrize("command", ["GETDEL", "INCR", "STRLEN", "PERSIST"])
def test_commands_without_options(same, command):
    same(command, "k")


def test_getex(same):
    for expiry in [*EXPIRIES, "PERSIST"]:
        same("GETEX", "k", expiry)


@pytest.mark.parametrize(
    ("command", "amounts"),
    [
        ("EXPIRE", [100, 0, -1]),
        ("PEXPIRE", [100_000, 0, -1]),
        ("PEXPIREAT", [FAR - 1, FAR, FAR + 1, 1]),
    ],
)
def test_expire(same, command, amounts):
    for amount, options in product(amounts, [(), "NX", "GT", ("NX", "GT")]):
        same(command, "k", amount, options)


def test_zadd(same):
    for score in [1, 2, 3]:
        same("ZADD", "k", score, b"n")
        same("ZADD", "k", score, b"new", score, b"n")


def test_zrange(same):
    for start, stop, reverse in product(range(-4, 5), range(-4, 5), [(), "REV"]):
        same("ZRANGE", "k", start, stop, reverse)


def test_zremrangebyscore(same):
    bounds = ["-inf", "(-inf", "1", "(1", "(2", "2.5", "3", "(3", "inf", "(inf"]
    for low, high in product(bounds, bounds):
        same("ZREMRANGEBYSCORE", "k", low, high)


def test_rename(stores):
    for source, target in product(STATES, STATES):
        for command in ("RENAME", "RENAMENX"):
            prepare = [("FLUSHDB",)]
            prepare += [(name, "source", *rest) for name, _, *rest in STATES[source]]
            prepare += STATES[target]
            checks = [*CHECKS, ("EXISTS", "source", "k")]
            for step in [*prepare, (command, "source", "k"), *checks]:
                remote, local = stores.run(*step)
                assert local == remote, (source, target, step)
