"""CMD: the commands for hashes, lists, sets, sorted sets and streams, over REST and over TCP."""

from __future__ import annotations

from tests.service.catalogue import assume
from tests.service.expectations import between


@assume(
    "CMD-021",
    documented="redis/commands/sorted-set/zadd",
    affects="The user index: active_sessions, end_session, logout_everywhere.",
    commands=6,
)
def test_sorted_sets(call, key):
    """ZADD, ZRANGE, ZSCORE, ZREM and ZREMRANGEBYSCORE with -inf work as in Redis."""
    assert call("ZADD", key, "1", "a", "2", "b", "3", "c") == 3
    assert call("ZREMRANGEBYSCORE", key, "-inf", "1") == 1
    assert call("ZRANGE", key, "0", "-1") == ["b", "c"]
    assert call("ZSCORE", key, "b") == "2"
    assert call("ZREM", key, "b", "x") == 1
    assert call("ZSCORE", key, "b") is None


@assume(
    "CMD-022",
    documented="redis/commands/hash/hset",
    affects="Shared statistics, and rate limits with token buckets.",
    commands=4,
)
def test_hashes(call, key):
    """HSET takes several fields; HMGET returns nil for a missing one."""
    assert call("HSET", key, "a", "1", "b", "2") == 2
    assert call("HSET", key, "a", "3", "c", "4") == 1
    assert call("HMGET", key, "a", "x", "c") == ["3", None, "4"]
    assert sorted(call("HGETALL", key)) == ["2", "3", "4", "a", "b", "c"]


@assume(
    "CMD-029",
    documented="redis/commands/hash/hincrby",
    affects="cache.hset and the other methods of hashes.",
    commands=7,
)
def test_fields_of_hashes(call, key):
    """HINCRBY, HKEYS, HVALS, HLEN, HEXISTS and HDEL work as in Redis."""
    assert call("HSET", key, "a", "1") == 1
    assert call("HINCRBY", key, "a", "4") == 5
    assert call("HKEYS", key) == ["a"]
    assert call("HVALS", key) == ["5"]
    assert call("HLEN", key) == 1
    assert call("HEXISTS", key, "b") == 0
    assert call("HDEL", key, "a") == 1


@assume(
    "CMD-030",
    documented="redis/commands/list/lpush",
    affects="cache.lpush and the other methods of lists.",
    commands=10,
)
def test_lists(call, key):
    """LPUSH, RPUSH, LRANGE, LINDEX, LLEN, LSET, LREM, LTRIM and LPOP work as in Redis."""
    assert call("RPUSH", key, "b", "c", "c") == 3
    assert call("LPUSH", key, "a") == 4
    assert call("LRANGE", key, "0", "-1") == ["a", "b", "c", "c"]
    assert call("LINDEX", key, "-1") == "c"
    assert call("LLEN", key) == 4
    assert call("LSET", key, "0", "x") == "OK"
    assert call("LREM", key, "1", "c") == 1
    assert call("LTRIM", key, "0", "1") == "OK"
    assert call("LPOP", key, "5") == ["x", "b"]
    assert call("LPOP", key) is None


@assume(
    "CMD-031",
    documented="redis/commands/set/sadd",
    affects="cache.sadd and the other methods of sets.",
    commands=11,
)
def test_sets(call, make_key):
    """SADD, SMISMEMBER, SDIFF, SINTERSTORE, SMOVE, SPOP with a count and SSCAN work as in Redis."""
    key, other = make_key("one"), make_key("two")
    assert call("SADD", key, "a", "b") == 2
    assert call("SADD", other, "b", "c") == 2
    assert call("SCARD", key) == 2
    assert call("SMISMEMBER", key, "a", "x") == [1, 0]
    assert call("SDIFF", key, other) == ["a"]
    assert call("SMOVE", key, other, "a") == 1
    assert call("SINTERSTORE", key, key, other) == 1
    assert call("SRANDMEMBER", key) == "b"
    assert call("SSCAN", key, "0", "COUNT", "1000") == ["0", ["b"]]
    assert call("SPOP", key, "5") == ["b"]
    assert call("SREM", other, "a", "x") == 1


@assume(
    "CMD-032",
    documented="redis/commands/sorted-set/zrevrangebyscore",
    affects="cache.zadd and the other methods of sorted sets.",
    commands=9,
)
def test_ranges_of_sorted_sets(call, key):
    """ZADD with options, ZINCRBY, ZRANK, ZCOUNT, ZPOPMIN and ranges work as in Redis."""
    assert call("ZADD", key, "1", "a", "2", "b", "3", "c") == 3
    assert call("ZADD", key, "XX", "INCR", "0.5", "a") == "1.5"
    assert call("ZINCRBY", key, "1", "a") == "2.5"
    assert call("ZRANK", key, "a") == 1
    assert call("ZCOUNT", key, "(2", "+inf") == 2
    assert call("ZREVRANGE", key, "0", "0", "WITHSCORES") == ["c", "3"]
    assert call("ZRANGEBYSCORE", key, "-inf", "+inf", "LIMIT", "1", "1") == ["a"]
    assert call("ZREVRANGEBYSCORE", key, "3", "2.5") == ["c", "a"]
    assert call("ZPOPMIN", key, "2") == ["b", "2", "a", "2.5"]


@assume(
    "CMD-034",
    documented="redis/commands/generic/memory-usage",
    affects="The key browser of the panel: sizes are unknown, and elements are not shown.",
    commands=4,
)
def test_memory_usage_and_the_fields_of_a_hash(call, key):
    """MEMORY USAGE returns bytes, or nil if there is no key; HSCAN returns fields with values."""
    assert call("MEMORY", "USAGE", key) is None
    assert call("HSET", key, "a", "1") == 1
    assert call("MEMORY", "USAGE", key) == between(1, 10_000)
    assert call("HSCAN", key, "0", "COUNT", "20") == ["0", ["a", "1"]]


@assume(
    "CMD-036",
    documented="redis/commands/generic/renamenx",
    affects="cache_migrate: hashes, lists and sets lose their expiry.",
    commands=8,
)
def test_a_copied_collection(call, make_key):
    """RENAMENX and RENAME keep the expiry; ZSCAN and ZMSCORE return scores as text."""
    old, new = make_key("old"), make_key("new")
    assert call("ZADD", old, "1.5", "a") == 1
    assert call("PEXPIRE", old, "60000") == 1
    assert call("ZSCAN", old, "0", "COUNT", "20") == ["0", ["a", "1.5"]]
    assert call("RENAMENX", old, new) == 1
    assert call("PTTL", new) == between(1, 60_000)
    assert call("ZMSCORE", new, "a", "x") == ["1.5", None]
    assert call("RENAME", new, old) == "OK"
    assert call("PTTL", old) == between(1, 60_000)


@assume(
    "CMD-037",
    documented="redis/commands/stream/xadd",
    affects="Channels: events are lost or delivered twice after a lost connection.",
    commands=9,
)
def test_a_stream_of_events(call, key):
    """XADD trims to MAXLEN exactly; XRANGE begins after `(id`; XREVRANGE returns the newest."""
    fields = ("data", "1", "event", "e", "channel", "c")
    ids = [call("XADD", key, "MAXLEN", "=", "3", "*", *fields) for _ in range(4)]
    assert call("EXPIRE", key, "60") == 1
    entries = [[each, list(fields)] for each in ids]
    assert call("XRANGE", key, "-", "+", "COUNT", "1000") == entries[1:]
    assert call("XRANGE", key, ids[2], "+", "COUNT", "1000") == entries[2:]
    assert call("XRANGE", key, f"({ids[2]}", "+", "COUNT", "1000") == entries[3:]
    assert call("XREVRANGE", key, "+", "-", "COUNT", "1") == entries[3:]


@assume(
    "CMD-038",
    documented="redis/commands/sorted-set/zpopmin",
    affects="Queues: the order of jobs, late acknowledgements, and heartbeats.",
    commands=9,
)
def test_sorted_sets_of_queues(call, key):
    """Members with one score are in the order of their bytes; ZADD XX CH counts what it changed."""
    assert (
        call("ZADD", key, "-1000", "b\n2", "-1000", "a\n1", "-1005", "c", "9000000000000", "d") == 4
    )
    assert call("ZRANGE", key, "0", "0", "WITHSCORES") == ["c", "-1005"]
    assert call("ZPOPMIN", key, "2") == ["c", "-1005", "a\n1", "-1000"]
    assert call("ZADD", key, "XX", "CH", "5", "a\n1", "6", "b\n2") == 1
    assert call("ZMSCORE", key, "a\n1", "b\n2") == [None, "6"]
    assert call("ZCOUNT", key, "-9999", "6") == 1
    assert call("ZRANGE", key, "0", "5", "REV") == ["d", "b\n2"]
    assert call("ZRANGEBYSCORE", key, "(6", "9000000000000", "LIMIT", "0", "1") == ["d"]
    assert call("ZREM", key, "a\n1", "d") == 1
