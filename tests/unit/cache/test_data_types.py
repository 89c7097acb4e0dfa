"""The exact commands of hashes, lists, sets and sorted sets, and replies that no server sends."""

from __future__ import annotations

import pytest

from continuum_upstash.backend import CacheBackend
from continuum_upstash.errors import CapacityExceeded
from continuum_upstash.plans.command_table import is_reply_to
from continuum_upstash.transports import registry
from tests.unit.plan_runner import run_plan


class Recorded:
    """A cache whose methods send their batches to a list of replies."""

    def __init__(self):
        self.cache = CacheBackend("", {"OPTIONS": {"MODE": "local"}, "KEY_PREFIX": "p"})

    def call(self, reply, name, *args, **kwargs):
        """Return the result of a method and the one command that it sent."""
        sent = []

        def run(plan):
            result, batches = run_plan(plan, [reply])
            sent.extend(batches)
            return result

        self.cache.run = run
        result = getattr(self.cache, name)(*args, **kwargs)
        ((command,),) = sent
        return result, command


@pytest.fixture
def recorded():
    yield Recorded()
    registry.reset()


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "command"),
    [
        ("hset", ("h", "f", 1), {"mapping": {"g": 2}}, ("HSET", "p:1:h", "g", b"2", "f", b"1")),
        ("hincrby", ("h", "f"), {"version": 2}, ("HINCRBY", "p:2:h", "f", 1)),
        ("lpush", ("l", "a", 1), {}, ("LPUSH", "p:1:l", b'"a"', b"1")),
        ("lrem", ("l", 0, True), {}, ("LREM", "p:1:l", 0, b"true")),
        ("sadd", ("s", "a", 1.5, None), {}, ("SADD", "p:1:s", b'"a"', b"1.5", b"null")),
        ("smove", ("s", "t", "a"), {"version": 3}, ("SMOVE", "p:3:s", "p:3:t", b'"a"')),
        (
            "sdiffstore",
            ("d", "s", "t"),
            {"version_dest": 2, "version_keys": 3},
            ("SDIFFSTORE", "p:2:d", "p:3:s", "p:3:t"),
        ),
        (
            "zadd",
            ("z", {"a": 1, "b": float("inf")}),
            {"xx": True, "gt": True, "ch": True},
            ("ZADD", "p:1:z", "XX", "CH", "GT", "1.0", b'"a"', "inf", b'"b"'),
        ),
        ("zcount", ("z", "(1", "+inf"), {}, ("ZCOUNT", "p:1:z", "(1", "+inf")),
    ],
)
def test_a_method_sends_one_command(recorded, name, args, kwargs, command):
    assert recorded.call(1, name, *args, **kwargs) == (1, command)


@pytest.mark.parametrize(
    ("name", "kwargs", "command"),
    [
        ("zrangebyscore", {}, ("ZRANGEBYSCORE", "p:1:z", "0.0", "5.5")),
        (
            "zrangebyscore",
            {"start": 1, "num": 2, "withscores": True},
            ("ZRANGEBYSCORE", "p:1:z", "0.0", "5.5", "LIMIT", 1, 2, "WITHSCORES"),
        ),
        ("zrevrangebyscore", {}, ("ZREVRANGEBYSCORE", "p:1:z", "0.0", "5.5")),
    ],
)
def test_the_options_of_a_range(recorded, name, kwargs, command):
    assert recorded.call([], name, "z", 0, 5.5, **kwargs) == ([], command)


@pytest.mark.parametrize(
    ("reply", "name", "args", "result"),
    [
        ([b"f", b"1", b"g"], "hgetall", ("h",), {"f": 1}),
        ([b"f", 5, b"g", b"2"], "hgetall", ("h",), {"g": 2}),
        ([b"\xff"], "hkeys", ("h",), ["\ufffd"]),
        ([5, None, [b"1"], b"2"], "hvals", ("h",), [2]),
        ([None, 5, b'"a"'], "smembers", ("s",), {"a"}),
        (5, "lpop", ("l",), None),
        ([b"1", b"x", b"2", b"3", b"4"], "zpopmin", ("z", 5), [(2, 3.0)]),
        ([b"1", None], "zpopmin", ("z",), None),
        (b"no score", "zscore", ("z", 1), None),
        ([], "zrank", ("z", 1, True), None),
        (None, "spop", ("s", 2), set()),
        (None, "srandmember", ("s", 2), []),
    ],
)
def test_what_no_server_sends_is_left_out(recorded, reply, name, args, result):
    assert recorded.call(reply, name, *args)[0] == result


@pytest.mark.parametrize(
    ("reply", "is_valid"), [(b"1.5", True), (b"no score", False), (None, False)]
)
def test_a_score_that_is_no_number_is_an_unexpected_reply(reply, is_valid):
    assert is_reply_to(("ZINCRBY", "z", "1.0", b"1"), reply) is is_valid


def test_a_full_database_raises_and_deletes_nothing(recorded):
    with pytest.raises(CapacityExceeded):
        recorded.call(CapacityExceeded("ERR DB capacity quota exceeded"), "sadd", "s", 1)
