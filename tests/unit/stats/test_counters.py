from __future__ import annotations

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.keys import LEASE_KEYS, TAG_KEYS
from continuum_upstash.observe import (
    Coalesced,
    CommandDetails,
    NearRead,
    ProtectedRead,
    ValueDiscarded,
)
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.locks import RELEASE
from continuum_upstash.protocol import Script, ScriptHash
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.labels import classify_reply
from continuum_upstash.stats.totals import BOUNDS, BUCKETS, Totals, add_up, estimate_quantile
from continuum_upstash.transports.service_errors import make_reply_error


def make_details(*commands_and_replies, backend="upstash-rest", seconds=0.002, error=None):
    commands = [command for command, _ in commands_and_replies]
    replies = [] if error else [reply for _, reply in commands_and_replies]
    return CommandDetails("default", backend, commands, replies, seconds, error)


def count(*records):
    counters = Counters()
    for record in records:
        counters.count(record)
    return add_up(counters.read("default").values())


@pytest.mark.parametrize(
    ("command", "reply", "expected"),
    [
        (("GET", "k"), b"12345", {"hits": 1, "bytes_out": 1, "bytes_in": 5}),
        (("get", "k"), b"12345", {"hits": 1, "bytes_out": 1, "bytes_in": 5}),
        (("GET", "k"), None, {"misses": 1, "bytes_out": 1}),
        (("GET", 57), b"1", {"hits": 1, "bytes_out": 2, "bytes_in": 1}),
        (("GET", 57), None, {"misses": 1, "bytes_out": 2}),
        (("GETEX", "k", "PX", 5), b"1", {"hits": 1, "bytes_out": 4, "bytes_in": 1}),
        (("MGET", "a", "b", "c"), [b"1", None, b"22"], {"hits": 2, "misses": 1, "bytes_in": 3}),
        (("SET", "k", b"value"), b"OK", {"sets": 1, "bytes_out": 6}),
        (("SET", "visits", 1), b"OK", {"sets": 1, "bytes_out": 7}),
        (("SET", 5, b"value"), b"OK", {"sets": 1, "bytes_out": 6}),
        (("SET", "k", b"value", "NX"), None, {"sets": 0, "bytes_out": 8}),
        (("MSET", "a", b"1", "b", b"2"), b"OK", {"sets": 2, "bytes_out": 4}),
        (("DEL", "k"), 1, {"hits": 0, "sets": 0}),
    ],
)
def test_a_command_is_counted_by_its_reply(command, reply, expected):
    totals = count(make_details((command, reply)))
    assert {name: getattr(totals, name) for name in expected} == expected
    assert totals.commands == {str(command[0]).upper(): 1}


def test_discarded_values_are_counted_by_kind():
    totals = count(
        ValueDiscarded("default", "the database is full: …", "full"),
        ValueDiscarded("default", "the database is full: …", "full"),
        ValueDiscarded("default", "a value was not stored: …", "too_large"),
    )
    assert totals.discarded == {"full": 2, "too_large": 1}
    assert (totals.batches, totals.billed) == (0, 0)
    assert Totals.from_dict(totals.as_dict()) == totals


FOREIGN = Script("return redis.call('GET', KEYS[1]) or redis.pcall('INCR', KEYS[1])", None)


@pytest.mark.parametrize(
    ("command", "reply", "billed"),
    [
        (("GET", "k"), b"1", 1),
        (("PING",), b"PONG", 0),
        (("INFO",), b"", 0),
        (("MGET", "a", "b"), [None, None], 1),
        (("EVAL", INCR_EXISTING, 1, "k", 1), None, 2),
        (("EVAL", INCR_EXISTING, 1, "k", 1), 7, 3),
        (("EVAL", INCR_EXISTING, 1, "k", 1), b"9007199254740993", 4),
        (("EVAL", INCR_EXISTING, 1, "k", 1), make_reply_error("ERR value is not an integer"), 3),
        (("EVAL", RELEASE, 1, "k", "token"), 0, 2),
        (("EVAL", RELEASE, 1, "k", "token"), 1, 3),
        (("EVAL", FOREIGN, 1, "k"), 1, 3),
        (("EVAL", "return redis.call('GET', KEYS[1])", 1, "k"), 1, 2),
        (("EVAL",), make_reply_error("ERR wrong number of arguments for 'eval' command"), 1),
        (("GET", "k"), make_reply_error("WRONGTYPE Operation against a key"), 1),
        (("SET", "k", b"1"), make_reply_error("NOPERM this user has no permissions"), 0),
        (("GET", "k"), make_reply_error("ERR max requests limit exceeded"), 0),
    ],
)
def test_the_billed_commands_of_a_command(command, reply, billed):
    assert count(make_details((command, reply))).billed == billed


def test_number_arguments_do_not_prevent_the_counting_of_a_batch():
    totals = count(
        make_details((("SET", "visits", 1), b"OK"), (("GET", 5), b"1"), (("GET", "k"), None))
    )
    assert (totals.sets, totals.hits, totals.misses, totals.billed) == (1, 1, 1, 3)


def test_local_replies_are_not_billed_and_are_counted_separately():
    counters = Counters()
    counters.count(make_details((("GET", "k"), b"1")))
    counters.count(make_details((("GET", "k"), b"1"), backend="local"))
    totals = counters.read("default")
    assert {backend: totals.billed for backend, totals in totals.items()} == {
        "upstash-rest": 1,
        "local": 0,
    }
    assert counters.read("another") == {}


def test_the_sum_of_an_alias_has_the_commands_of_the_local_store_apart():
    counters = Counters()
    counters.count(make_details((("SET", "k", b"1"), b"OK"), seconds=0.2))
    for _ in range(100):
        counters.count(make_details((("SET", "k", b"1"), b"OK"), backend="local", seconds=1e-5))
    found = counters.read_sum("default")
    assert (found.commands, found.local_commands, found.batches) == ({"SET": 1}, 100, 1)
    assert (found.seconds, found.estimate_quantile(0.5) > 0.1) == (0.2, True)
    assert (found.sets, found.billed) == (101, 1)


def test_errors_are_counted_by_class():
    totals = count(
        make_details((("GET", "k"), None), error=ConnectionFailed("no")),
        make_details((("GET", "k"), make_reply_error("WRONGTYPE no")), (("GET", "k"), b"1")),
    )
    assert totals.errors == {"ConnectionFailed": 1, "ReplyError": 1}
    assert (totals.batches, totals.hits, totals.misses, totals.error_rate) == (2, 1, 0, 1.0)


def test_noscript_is_not_an_error():
    totals = count(
        make_details((("EVALSHA", ScriptHash(RELEASE), 0), make_reply_error("NOSCRIPT no")))
    )
    assert (totals.errors, totals.commands) == ({}, {"EVALSHA": 1})


def test_saved_requests_and_the_cost_of_statistics_are_count():
    counters = Counters()
    counters.count(Coalesced("default", "upstash-rest", 3))
    counters.count(
        make_details(
            (("HSET", "continuum:stats:shop:2026031012", "30:p", b"{}"), 1),
            (("EXPIRE", "continuum:stats:shop:2026031012", 60), 1),
            (("INCRBY", "shop:1:stats:cache_hits", 3), make_reply_error("NOPERM no")),
            (("INCRBY", "shop:1:stats:cache_misses", 3), 3),
            (("HSET", "continuum:stats:shop:20260310", "12:p", b"{}"), 1),
        )
    )
    totals = counters.read("default")["upstash-rest"]
    assert (totals.coalesced, totals.overhead, totals.billed) == (3, 4, 0)
    assert (totals.batches, totals.commands, totals.errors) == (0, {}, {})


def test_hits_of_the_near_cache_count_for_the_hit_rate_and_are_not_billed():
    totals = count(
        make_details((("GET", "k"), b"1")),
        make_details((("GET", "k"), None)),
        NearRead("default", 3, 0),
        NearRead("default", 2, 1),
    )
    assert (totals.near_hits, totals.near_saved) == (5, 1)
    assert (totals.hits, totals.misses, totals.billed, totals.batches) == (1, 1, 2, 2)
    assert totals.hit_rate == 6 / 7


def test_totals_can_be_added_and_subtracted():
    one = count(make_details((("GET", "k"), b"1")))
    both = count(
        make_details((("GET", "k"), b"1")), make_details((("SET", "k", b"1"), b"OK"), seconds=9)
    )
    rest = both - one
    assert (rest.sets, rest.hits, rest.commands, rest.batches) == (1, 0, {"SET": 1}, 1)
    one += rest
    assert one.as_dict() == both.as_dict()
    assert Totals.from_dict({**both.as_dict(), "of_a_later_version": 1}) == both


def test_without_commands_there_are_no_rates():
    assert (Totals().hit_rate, Totals().error_rate, Totals().estimate_quantile(0.5)) == (
        None,
        None,
        None,
    )
    assert count(make_details((("MGET", "a", "b"), [b"", None]))).hit_rate == 0.5


@pytest.mark.parametrize(
    ("durations", "share", "expected"),
    [
        ([0.002] * 100, 0.5, (0.001, 0.0025)),
        ([0.002] * 99 + [0.3], 0.95, (0.001, 0.0025)),
        ([0.002] * 90 + [0.3] * 10, 0.95, (0.25, 0.5)),
        ([9.0], 0.5, (BOUNDS[-1], BOUNDS[-1])),
        ([0.00001], 0.5, (0, BOUNDS[0])),
    ],
)
def test_a_quantile_is_in_the_bucket_of_its_duration(durations, share, expected):
    totals = count(*(make_details((("GET", "k"), None), seconds=seconds) for seconds in durations))
    assert expected[0] <= totals.estimate_quantile(share) <= expected[1]


def test_the_last_bucket_counts_durations_beyond_all_bounds():
    assert len(BOUNDS) + 1 == BUCKETS
    assert estimate_quantile([0] * BUCKETS, 0.5) is None


@pytest.mark.parametrize("name", ["GET", "GETDEL", "GETEX", "HGET", "LINDEX", "SETEX", "INCR"])
def test_totals_and_metrics_agree_on_hits(name):
    counters = Counters()
    command = (name, "k", 10, b"v") if name == "SETEX" else (name, "k")
    for reply in (b"value", None):
        counters.count(CommandDetails("a", "upstash-rest", [command], [reply], 0.001, None))
    totals = counters.read("a")["upstash-rest"]
    results = [classify_reply(name, reply) for reply in (b"value", None)]
    assert (totals.hits, totals.misses, totals.sets) == tuple(
        results.count(each) for each in ("hit", "miss", "stored")
    )


def test_tokens_and_leases_that_are_read_with_a_value_count_neither_as_hits_nor_as_misses():
    read = ("MGET", "k", f"{LEASE_KEYS}k", f"{TAG_KEYS}:a")
    totals = count(
        CommandDetails("default", "upstash-rest", [read], [[b"v", None, b"token"]], 0.01, None),
        CommandDetails("default", "upstash-rest", [read], [[None, b"lease", b"token"]], 0.01, None),
        CommandDetails(
            "default", "upstash-rest", [("MGET", f"{TAG_KEYS}:a")], [[b"token"]], 0.01, None
        ),
    )
    assert (totals.hits, totals.misses, totals.billed) == (1, 1, 3)


def test_protected_reads_are_counted_by_result():
    totals = count(
        ProtectedRead("default", "stale"),
        ProtectedRead("default", "stale"),
        ProtectedRead("default", "early"),
    )
    assert totals.protected_reads == {"stale": 2, "early": 1}
