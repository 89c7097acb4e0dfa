"""Random commands: all of the local store, with arguments that servers accept or reject."""

from __future__ import annotations

from itertools import chain

from hypothesis import strategies as st

from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.locks import EXTEND, RELEASE
from continuum_upstash.protocol import Command

Arguments = list[st.SearchStrategy[object]]

KEYS = st.sampled_from(["a", "a", "b", "ключ"])
VALUES = st.one_of(
    st.sampled_from([b"0", b"5", b"-3", b"9223372036854775807", b"-9223372036854775808"]),
    st.sampled_from([b"", b"05", b"+5", b" 5", b"-0", b"text", b"\xff\x00"]),
)
MEMBERS = st.sampled_from([b"x", b"y", b"z", b"\xff\x00"])
STEPS = st.sampled_from([1, -1, 7, 2**53 + 1] * 3 + [2**63 - 1, -(2**63), 2**63, "x", "", "1e3"])
# Expiries far away, in the past and out of range; exact, because both clocks show the same time.
AMOUNTS = st.sampled_from(
    [100_000, 100_499, 100_500, 200_000, 4_000_000_000, 4_000_000_000_000] * 3
    + [0, -1, 1, 2**63 - 1, -(2**63), 9_223_372_036_854_775, "x", ""]
)
EXPIRIES = st.one_of(
    st.tuples(st.sampled_from(["EX", "px", "EXAT", "PXAT"]), AMOUNTS),
    st.tuples(st.sampled_from(["KEEPTTL", "KEEPTTL", "PERSIST", "EX"])),
)
CONDITIONS = st.one_of(st.tuples(st.sampled_from(["NX", "xx"])), st.tuples(st.just("IFEQ"), VALUES))
EXPIRE_OPTIONS = st.lists(st.sampled_from(["NX", "gt", "GT"] * 3 + ["ODD"]), max_size=2)
SCORES = st.sampled_from(
    ["1", "2.5", "-3", "1e3", ".5"] * 5
    + ["-inf", "INF", "-0", "nan", "x", "0x1", "", "1_0", "1e999", "1e-999"]
)
BOUNDS = st.one_of(SCORES, SCORES.map("({}".format), st.sampled_from(["-inf", "+inf", "[1"]))
COUNTS = st.sampled_from([0, 1, 2, 3, -1, "x"])
LIMITS = st.one_of(st.just(()), st.tuples(st.just("LIMIT"), COUNTS, COUNTS))
ADD_OPTIONS = st.lists(st.sampled_from(["NX", "xx", "GT", "LT", "CH", "INCR"]), max_size=2)
RANKS = st.sampled_from([0, 1, 2, 3, -1, -2, -3, -4, "x"])


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(values, max_size=3)


PAIRS = st.tuples(KEYS, VALUES)
FIELDS = st.tuples(MEMBERS, VALUES)
SCORED = st.tuples(SCORES, MEMBERS)

STRINGS: dict[str, Arguments] = {
    "DELEX": [KEYS, st.sampled_from(["IFEQ", "ifeq"]), VALUES],
    "GET": [KEYS],
    "GETDEL": [KEYS],
    "GETEX": [KEYS, st.lists(EXPIRIES, max_size=2)],
    "INCR": [KEYS],
    "INCRBY": [KEYS, STEPS],
    "MGET": [KEYS, some(KEYS)],
    "MSET": [PAIRS, some(PAIRS)],
    "SET": [KEYS, VALUES, st.lists(st.one_of(EXPIRIES, CONDITIONS), max_size=3)],
    "STRLEN": [KEYS],
    "GETRANGE": [KEYS, RANKS, RANKS],
}
EXPIRY: dict[str, Arguments] = {
    "EXPIRE": [KEYS, AMOUNTS, EXPIRE_OPTIONS],
    "EXPIRETIME": [KEYS],
    "PERSIST": [KEYS],
    "PEXPIRE": [KEYS, AMOUNTS, EXPIRE_OPTIONS],
    "PEXPIREAT": [KEYS, AMOUNTS, EXPIRE_OPTIONS],
    "PEXPIRETIME": [KEYS],
    "PTTL": [KEYS],
    "TTL": [KEYS],
}
KEYSPACE: dict[str, Arguments] = {
    "DEL": [KEYS, some(KEYS)],
    "EXISTS": [KEYS, some(KEYS)],
    "FLUSHDB": [],
    "PING": [],
    "RENAME": [KEYS, KEYS],
    "RENAMENX": [KEYS, KEYS],
    "TYPE": [KEYS],
    "UNLINK": [KEYS, some(KEYS)],
}
HASHES: dict[str, Arguments] = {
    "HDEL": [KEYS, MEMBERS, some(MEMBERS)],
    "HEXISTS": [KEYS, MEMBERS],
    "HGET": [KEYS, MEMBERS],
    "HGETALL": [KEYS],
    "HINCRBY": [KEYS, MEMBERS, STEPS],
    "HKEYS": [KEYS],
    "HLEN": [KEYS],
    "HMGET": [KEYS, MEMBERS, some(MEMBERS)],
    "HSET": [KEYS, FIELDS, some(FIELDS)],
    "HVALS": [KEYS],
}
LISTS: dict[str, Arguments] = {
    "LINDEX": [KEYS, RANKS],
    "LLEN": [KEYS],
    "LPOP": [KEYS, st.one_of(st.just(()), COUNTS)],
    "LPUSH": [KEYS, MEMBERS, some(MEMBERS)],
    "LRANGE": [KEYS, RANKS, RANKS],
    "LREM": [KEYS, RANKS, MEMBERS],
    "LSET": [KEYS, RANKS, MEMBERS],
    "LTRIM": [KEYS, RANKS, RANKS],
    "RPOP": [KEYS, st.one_of(st.just(()), COUNTS)],
    "RPUSH": [KEYS, MEMBERS, some(MEMBERS)],
}
SETS: dict[str, Arguments] = {
    "SADD": [KEYS, MEMBERS, some(MEMBERS)],
    "SCARD": [KEYS],
    "SDIFF": [KEYS, some(KEYS)],
    "SDIFFSTORE": [KEYS, KEYS, some(KEYS)],
    "SINTER": [KEYS, some(KEYS)],
    "SINTERSTORE": [KEYS, KEYS, some(KEYS)],
    "SISMEMBER": [KEYS, MEMBERS],
    "SMEMBERS": [KEYS],
    "SMISMEMBER": [KEYS, MEMBERS, some(MEMBERS)],
    "SMOVE": [KEYS, KEYS, MEMBERS],
    "SREM": [KEYS, MEMBERS, some(MEMBERS)],
    "SUNION": [KEYS, some(KEYS)],
    "SUNIONSTORE": [KEYS, KEYS, some(KEYS)],
}
WITH_SCORES = st.sampled_from([(), "WITHSCORES", "withscores", "ODD"])
SORTED_SETS: dict[str, Arguments] = {
    "ZADD": [KEYS, ADD_OPTIONS, SCORED, some(SCORED)],
    "ZCARD": [KEYS],
    "ZCOUNT": [KEYS, BOUNDS, BOUNDS],
    "ZINCRBY": [KEYS, SCORES, MEMBERS],
    "ZPOPMAX": [KEYS, st.one_of(st.just(()), COUNTS)],
    "ZPOPMIN": [KEYS, st.one_of(st.just(()), COUNTS)],
    "ZRANGE": [KEYS, RANKS, RANKS, st.sampled_from([(), "REV", "rev", "ODD"]), WITH_SCORES],
    "ZRANGEBYSCORE": [KEYS, BOUNDS, BOUNDS, WITH_SCORES, LIMITS],
    "ZRANK": [KEYS, MEMBERS, st.sampled_from([(), "WITHSCORE", "ODD"])],
    "ZREM": [KEYS, MEMBERS, some(MEMBERS)],
    "ZREMRANGEBYSCORE": [KEYS, BOUNDS, BOUNDS],
    "ZREVRANGE": [KEYS, RANKS, RANKS, WITH_SCORES],
    "ZREVRANGEBYSCORE": [KEYS, BOUNDS, BOUNDS, WITH_SCORES, LIMITS],
    "ZSCORE": [KEYS, MEMBERS],
}
ALL = STRINGS | EXPIRY | KEYSPACE | HASHES | LISTS | SETS | SORTED_SETS

# The package's own scripts: in Lua on the server, by their local rule in the local store.
SCRIPTS = st.one_of(
    st.tuples(st.just("EVAL"), st.just(INCR_EXISTING), st.just(1), KEYS, STEPS),
    st.tuples(st.just("EVAL"), st.just(RELEASE), st.just(1), KEYS, VALUES),
    st.tuples(st.just("EVAL"), st.just(EXTEND), st.just(1), KEYS, VALUES, AMOUNTS),
)


def draw_histories(commands: st.SearchStrategy[Command]) -> st.SearchStrategy[list[Command]]:
    """Return lists of 25 commands on average that shrink to an empty list."""
    return st.lists(st.lists(commands, max_size=12), max_size=12).map(
        lambda parts: list(chain.from_iterable(parts))
    )


def draw_commands(family: dict[str, Arguments], *extra: str) -> st.SearchStrategy[Command]:
    """Return commands of a family and others; one in six has one argument too many or too few."""
    arguments = family | {name: ALL[name] for name in extra}
    whole = st.sampled_from(sorted(arguments)).flatmap(lambda name: _command(name, arguments[name]))
    return st.one_of(*[whole] * 5, whole.flatmap(_change_length))


def _command(name: str, arguments: Arguments) -> st.SearchStrategy[Command]:
    return st.tuples(*arguments).map(lambda parts: (name, *flatten(parts)))


def _change_length(command: Command) -> st.SearchStrategy[Command]:
    # DELEX keeps its length, because Valkey has another command for it.
    # FLUSHDB, PING and EXPIRE accept more options on a server.
    if len(command) == 1 or command[0] in {"DELEX", "FLUSHDB", "PING"}:
        return st.just(command)
    return st.sampled_from([command[:-1], (*command, b"1")])


def flatten(words: object) -> list[object]:
    if isinstance(words, list | tuple):
        return [argument for word in words for argument in flatten(word)]
    return [words]
