"""Random commands: every command of the local store, with valid and invalid arguments."""

from __future__ import annotations

from itertools import chain

from hypothesis import strategies as st

from continuum_upstash.plans.keyvalue import INCR_EXISTING
from continuum_upstash.plans.locks import EXTEND, RELEASE
from continuum_upstash.protocol import Command

Shape = list[st.SearchStrategy[object]]

KEYS = st.sampled_from(["a", "a", "b", "ключ"])
VALUES = st.one_of(
    st.sampled_from([b"0", b"5", b"-3", b"9223372036854775807", b"-9223372036854775808"]),
    st.sampled_from([b"", b"05", b"+5", b" 5", b"-0", b"text", b"\xff\x00"]),
)
MEMBERS = st.sampled_from([b"x", b"y", b"z", b"\xff\x00"])
STEPS = st.sampled_from([1, -1, 7, 2**53 + 1] * 3 + [2**63 - 1, -(2**63), 2**63, "x", "", "1e3"])
# Expiries in the far future, in the past and out of range; both clocks show the same time.
AMOUNTS = st.sampled_from(
    [100_000, 100_499, 100_500, 200_000, 4_000_000_000, 4_000_000_000_000] * 3
    + [0, -1, 1, 2**63 - 1, -(2**63), 9_223_372_036_854_775, "x", ""]
)
LIVES = st.one_of(
    st.tuples(st.sampled_from(["EX", "px", "EXAT", "PXAT"]), AMOUNTS),
    st.tuples(st.sampled_from(["KEEPTTL", "KEEPTTL", "PERSIST", "EX"])),
)
CONDITIONS = st.one_of(
    st.tuples(st.sampled_from(["NX", "xx", "GET"])), st.tuples(st.just("IFEQ"), VALUES)
)
EXPIRE_WORDS = st.lists(st.sampled_from(["NX", "xx", "GT", "LT"] * 3 + ["ODD"]), max_size=2)
SCORES = st.sampled_from(
    ["1", "2.5", "-3", "1e3", ".5"] * 5
    + ["-inf", "INF", "-0", "nan", "x", "0x1", "", "1_0", "1e999", "1e-999"]
)
BOUNDS = st.one_of(SCORES, SCORES.map("({}".format), st.sampled_from(["-inf", "+inf", "[1"]))
RANKS = st.sampled_from([0, 1, 2, 3, -1, -2, -3, -4, "x"])
LIMITS = st.tuples(st.just("LIMIT"), st.integers(-1, 2), st.integers(-1, 2))
RANGE_WORDS = st.lists(
    st.one_of(st.tuples(st.sampled_from(["WITHSCORES", "withscores", "LIMIT"])), LIMITS), max_size=2
)


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(values, max_size=3)


PAIRS = st.tuples(KEYS, VALUES)
FIELDS = st.tuples(MEMBERS, VALUES)
SCORED = st.tuples(SCORES, MEMBERS)
RANGES = st.one_of(
    st.tuples(RANKS, RANKS, st.sampled_from([(), "REV"])),
    st.tuples(BOUNDS, BOUNDS, st.just("BYSCORE"), st.sampled_from([(), "rev"])),
)

STRINGS: dict[str, Shape] = {
    "DECR": [KEYS],
    "DECRBY": [KEYS, STEPS],
    "DELEX": [KEYS, st.one_of(st.just(()), st.tuples(st.sampled_from(["IFEQ", "ifeq"]), VALUES))],
    "GET": [KEYS],
    "GETDEL": [KEYS],
    "GETEX": [KEYS, st.lists(LIVES, max_size=2)],
    "GETSET": [KEYS, VALUES],
    "INCR": [KEYS],
    "INCRBY": [KEYS, STEPS],
    "MGET": [KEYS, some(KEYS)],
    "MSET": [PAIRS, some(PAIRS)],
    "MSETNX": [PAIRS, some(PAIRS)],
    "PSETEX": [KEYS, AMOUNTS, VALUES],
    "SET": [KEYS, VALUES, st.lists(st.one_of(LIVES, CONDITIONS), max_size=3)],
    "SETEX": [KEYS, AMOUNTS, VALUES],
    "SETNX": [KEYS, VALUES],
    "STRLEN": [KEYS],
}
ENDS: dict[str, Shape] = {
    "EXPIRE": [KEYS, AMOUNTS, EXPIRE_WORDS],
    "EXPIREAT": [KEYS, AMOUNTS, EXPIRE_WORDS],
    "EXPIRETIME": [KEYS],
    "PERSIST": [KEYS],
    "PEXPIRE": [KEYS, AMOUNTS, EXPIRE_WORDS],
    "PEXPIREAT": [KEYS, AMOUNTS, EXPIRE_WORDS],
    "PEXPIRETIME": [KEYS],
    "PTTL": [KEYS],
    "TTL": [KEYS],
}
KEYSPACE: dict[str, Shape] = {
    "DBSIZE": [],
    "DEL": [KEYS, some(KEYS)],
    "ECHO": [VALUES],
    "EXISTS": [KEYS, some(KEYS)],
    "FLUSHALL": [st.sampled_from([(), "ASYNC", "sync", "ODD"])],
    "FLUSHDB": [st.sampled_from([(), "ASYNC", "sync", "ODD"])],
    "PING": [some(VALUES)],
    "RENAME": [KEYS, KEYS],
    "RENAMENX": [KEYS, KEYS],
    "TOUCH": [KEYS, some(KEYS)],
    "TYPE": [KEYS],
    "UNLINK": [KEYS, some(KEYS)],
}
HASHES: dict[str, Shape] = {
    "HDEL": [KEYS, MEMBERS, some(MEMBERS)],
    "HGET": [KEYS, MEMBERS],
    "HGETALL": [KEYS],
    "HINCRBY": [KEYS, MEMBERS, STEPS],
    "HMGET": [KEYS, MEMBERS, some(MEMBERS)],
    "HSET": [KEYS, FIELDS, some(FIELDS)],
}
SETS: dict[str, Shape] = {
    "SADD": [KEYS, MEMBERS, some(MEMBERS)],
    "SCARD": [KEYS],
    "SISMEMBER": [KEYS, MEMBERS],
    "SMEMBERS": [KEYS],
    "SREM": [KEYS, MEMBERS, some(MEMBERS)],
}
SORTED_SETS: dict[str, Shape] = {
    "ZADD": [
        KEYS,
        st.lists(st.sampled_from(["NX", "XX", "gt", "LT", "CH"]), max_size=2),
        SCORED,
        some(SCORED),
    ],
    "ZCARD": [KEYS],
    "ZRANGE": [KEYS, RANGES, RANGE_WORDS],
    "ZRANGEBYSCORE": [KEYS, BOUNDS, BOUNDS, RANGE_WORDS],
    "ZREM": [KEYS, MEMBERS, some(MEMBERS)],
    "ZREMRANGEBYSCORE": [KEYS, BOUNDS, BOUNDS],
    "ZSCORE": [KEYS, MEMBERS],
}
ALL = STRINGS | ENDS | KEYSPACE | HASHES | SETS | SORTED_SETS

# The package's scripts: Lua on the server, the Python rule in the local store.
SCRIPTS = st.one_of(
    st.tuples(st.just("EVAL"), st.just(INCR_EXISTING), st.just(1), KEYS, STEPS),
    st.tuples(st.just("EVAL"), st.just(RELEASE), st.just(1), KEYS, VALUES),
    st.tuples(st.just("EVAL"), st.just(EXTEND), st.just(1), KEYS, VALUES, AMOUNTS),
)


def draw_histories(commands: st.SearchStrategy[Command]) -> st.SearchStrategy[list[Command]]:
    """Return lists of commands: 25 on average; hypothesis can shrink them to the empty list."""
    return st.lists(st.lists(commands, max_size=12), max_size=12).map(
        lambda parts: list(chain.from_iterable(parts))
    )


def draw_commands(family: dict[str, Shape], *extra: str) -> st.SearchStrategy[Command]:
    """Return commands of a family and some others; one in six has too many or too few arguments."""
    shapes = family | {name: ALL[name] for name in extra}
    whole = st.sampled_from(sorted(shapes)).flatmap(lambda name: _command(name, shapes[name]))
    return st.one_of(*[whole] * 5, whole.flatmap(_change_length))


def _command(name: str, shape: Shape) -> st.SearchStrategy[Command]:
    return st.tuples(*shape).map(lambda parts: (name, *flatten(parts)))


def _change_length(command: Command) -> st.SearchStrategy[Command]:
    # DELEX stays valid, because it is translated to Valkey's DELIFEQ.
    if len(command) == 1 or command[0] == "DELEX":
        return st.just(command)
    return st.sampled_from([command[:-1], (*command, b"1")])


def flatten(words: object) -> list[object]:
    if isinstance(words, list | tuple):
        return [argument for word in words for argument in flatten(word)]
    return [words]
