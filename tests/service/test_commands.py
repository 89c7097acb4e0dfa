"""CMD: the commands for keys, strings and the server, over REST and over TCP."""

from __future__ import annotations

import time

import pytest

from tests.service.catalogue import EVERYWHERE, UPSTASH_2026, assume
from tests.service.expectations import between, error, matching

TTL = ("PX", "60000")


@assume(
    "CMD-001",
    documented="redis/commands/string/set",
    affects="Every cache.set with a timeout.",
    commands=3,
)
def test_set_with_px(call, key):
    """SET key value PX ms stores a value with an expiry, and replaces an older one."""
    assert call("SET", key, "1", "PX", "1000000") == "OK"
    assert call("SET", key, "2", "PX", "60000") == "OK"
    assert call("PTTL", key) == between(1, 60_000)


@assume(
    "CMD-002",
    documented="redis/commands/string/set",
    affects="cache.add, locks and new sessions.",
    commands=3,
)
def test_set_with_nx(call, key):
    """SET … PX ms NX stores only if the key is missing, and returns nil otherwise."""
    assert call("SET", key, "1", "PX", "60000", "NX") == "OK"
    assert call("SET", key, "2", "PX", "60000", "NX") is None
    assert call("GET", key) == "1"


@assume(
    "CMD-003",
    documented="redis/commands/string/set",
    affects="Saved sessions: one that was logged out would come back, or none is saved.",
    commands=4,
)
def test_set_with_xx(call, key):
    """SET … PX ms XX stores only if the key exists, and returns nil otherwise."""
    assert call("SET", key, "1", "PX", "60000", "XX") is None
    assert call("SET", key, "1", "PX", "60000") == "OK"
    assert call("SET", key, "2", "PX", "60000", "XX") == "OK"
    assert call("GET", key) == "2"


@assume(
    "CMD-004",
    documented="redis/commands/string/set",
    affects="A value without a timeout expires.",
    commands=3,
)
def test_set_without_expiry_removes_the_expiry(call, key):
    """SET without an expiry removes the expiry of an older value."""
    assert call("SET", key, "1", "PX", "60000") == "OK"
    assert call("SET", key, "2") == "OK"
    assert call("PTTL", key) == -1


@assume(
    "CMD-005",
    documented="redis/commands/string/getex",
    affects="Sessions with SESSION_SAVE_EVERY_REQUEST: a second command for each read.",
    commands=4,
)
def test_getex(call, key):
    """GETEX key PX ms returns a value and sets its expiry; it does not create a key."""
    assert call("GETEX", key, "PX", "60000") is None
    assert call("SET", key, "1") == "OK"
    assert call("GETEX", key, "PX", "60000") == "1"
    assert call("PTTL", key) == between(1, 60_000)


@assume(
    "CMD-006",
    documented="redis/commands/string/getdel",
    affects="cache_doctor --write.",
    commands=3,
)
def test_getdel(call, key):
    """GETDEL returns a value and deletes it."""
    assert call("SET", key, "1", *TTL) == "OK"
    assert call("GETDEL", key) == "1"
    assert call("EXISTS", key) == 0


@assume(
    "CMD-007",
    documented="redis/commands/string/mget",
    affects="get_many, session lists and rate limits.",
    commands=2,
)
def test_mget(call, make_key):
    """MGET returns a value or nil for each key, in order."""
    assert call("SET", make_key("b"), "2", *TTL) == "OK"
    assert call("MGET", make_key("a"), make_key("b"), make_key("a")) == [None, "2", None]


@assume(
    "CMD-008",
    documented="redis/commands/string/mset",
    affects="set_many without a timeout.",
    commands=2,
)
def test_mset(call, make_key):
    """MSET stores several values."""
    assert call("MSET", make_key("a"), "1", make_key("b"), "2") == "OK"
    assert call("MGET", make_key("a"), make_key("b")) == ["1", "2"]


@assume(
    "CMD-009",
    documented="redis/commands/generic/unlink",
    affects="delete, delete_many, clear and the repair after an outage.",
    commands=5,
)
def test_del_and_unlink(call, make_key):
    """DEL, UNLINK and EXISTS take several keys and return how many existed."""
    a, b = make_key("a"), make_key("b")
    assert call("MSET", a, "1", b, "2") == "OK"
    assert call("EXISTS", a, b, make_key("c")) == 2
    assert call("DEL", a, make_key("c")) == 1
    assert call("UNLINK", a, b) == 1
    assert call("UNLINK", a, b) == 0


@assume(
    "CMD-010",
    documented="redis/commands/generic/pexpire",
    affects="touch, expire and persist.",
    commands=6,
)
def test_pexpire_and_persist(call, key):
    """PEXPIRE and PERSIST return 1 if they changed the expiry, and 0 for a missing key."""
    assert call("PEXPIRE", key, "60000") == 0
    assert call("SET", key, "1") == "OK"
    assert call("PEXPIRE", key, "60000") == 1
    assert call("PERSIST", key) == 1
    assert call("PERSIST", key) == 0
    assert call("PTTL", key) == -1


@assume(
    "CMD-011",
    documented="redis/commands/generic/expiretime",
    affects="ttl, pttl, expiretime, pexpiretime and expire_at.",
    commands=9,
)
def test_expiry_times(call, key):
    """TTL, PTTL, EXPIRETIME and PEXPIRETIME return -2 for a missing key and the time otherwise."""
    names = ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME")
    assert [call(name, key) for name in names] == [-2, -2, -2, -2]
    expires_at = int(time.time() + 600) * 1000
    assert call("SET", key, "1", "PXAT", str(expires_at)) == "OK"
    assert [call(name, key) for name in names] == [
        between(1, 700),
        between(1, 700_000),
        expires_at // 1000,
        expires_at,
    ]


@assume(
    "CMD-012",
    documented="redis/commands/generic/expire",
    affects="The user index of sessions: it expires before its last entry, or never.",
    commands=5,
)
def test_expire_with_nx_and_gt(call, key):
    """EXPIRE … NX sets an expiry only if there is none, EXPIRE … GT only a later one."""
    assert call("SET", key, "1") == "OK"
    assert call("EXPIRE", key, "60", "GT") == 0
    assert call("EXPIRE", key, "60", "NX") == 1
    assert call("EXPIRE", key, "30", "GT") == 0
    assert call("EXPIRE", key, "90", "GT") == 1


@assume(
    "CMD-013",
    documented="redis/commands/generic/pexpire",
    affects="Values live longer than their timeout.",
    commands=2,
)
def test_an_expired_key_is_gone(call, key):
    """A key is gone as soon as its expiry has passed."""
    assert call("SET", key, "1", "PX", "40") == "OK"
    time.sleep(0.1)
    assert call("GET", key) is None


@assume(
    "CMD-014",
    documented="redis/commands/string/incrby",
    affects="UpstashCache.incr, and incr after an outage.",
    commands=3,
)
def test_incrby(call, key):
    """INCRBY adds to the integer that SET stored as text, and creates a missing key."""
    assert call("INCRBY", key, "5") == 5
    assert call("SET", key, "-7", *TTL) == "OK"
    assert call("INCRBY", key, "9007199254740000") == 9007199254739993


@assume(
    "CMD-015",
    unproven="the documentation shows the text for other text, none for an overflow",
    affects="incr: ReplyError instead of TypeError or OverflowError.",
    commands=4,
)
def test_incrby_errors(call, key):
    """INCRBY on other text says `not an int…`, and beyond 64 bits `overflow`."""
    assert call("SET", key, "text", *TTL) == "OK"
    assert call("INCRBY", key, "1") == error("ERR .*not an int")
    assert call("SET", key, str(2**63 - 1), *TTL) == "OK"
    assert call("INCRBY", key, "1") == error("ERR .*overflow")


@assume(
    "CMD-016",
    unproven="the text is that of Redis; no page shows it",
    affects="rename, and incr_version.",
    commands=4,
)
def test_rename(call, make_key):
    """RENAME keeps the expiry; the error for a missing key contains `no such key`."""
    old, new = make_key("old"), make_key("new")
    assert call("RENAME", old, new) == error(".*no such key")
    assert call("SET", old, "1", *TTL) == "OK"
    assert call("RENAME", old, new) == "OK"
    assert call("PTTL", new) == between(1, 60_000)


@assume(
    "CMD-017",
    documented="redis/commands/generic/renamenx",
    affects="Sessions after a change of SECRET_KEY.",
    commands=4,
)
def test_renamenx(call, make_key):
    """RENAMENX returns an error for a missing key, and 0 if the new name exists."""
    old, new = make_key("old"), make_key("new")
    assert call("RENAMENX", old, new) == error(".*no such key")
    assert call("MSET", old, "1", new, "2") == "OK"
    assert call("RENAMENX", old, new) == 0
    assert call("GET", new) == "2"


@assume(
    "CMD-018",
    documented="redis/commands/generic/scan",
    affects="clear, delete_pattern, keys, cache_cleanup and the panel.",
    commands=16,
)
def test_scan(call, make_key):
    """SCAN with MATCH and COUNT finds a key until its cursor, which is text, is `0` again."""
    key = make_key("a[b]*c")
    pattern = key.replace("[", "\\[").replace("]", "\\]").replace("*", "\\*")
    assert call("SET", key, "1", *TTL) == "OK"
    cursor, found = "0", []
    for _ in range(15):
        cursor, page = call("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
        found += page
        if cursor == "0":
            break
    else:
        pytest.skip("the database has more than about 15,000 keys")
    assert set(found) == {key}


@assume(
    "CMD-019",
    documented="redis/commands/string/delex",
    affects="release() of a lock is a script: three billed commands instead of one.",
    commands=5,
    profiles=UPSTASH_2026,
)
def test_delex_with_ifeq(call, key):
    """DELEX key IFEQ value deletes a key only if it holds the value, and returns 1 or 0."""
    assert call("DELEX", key, "IFEQ", "1") == 0
    assert call("SET", key, "1", *TTL) == "OK"
    assert call("DELEX", key, "IFEQ", "2") == 0
    assert call("DELEX", key, "IFEQ", "1") == 1
    assert call("EXISTS", key) == 0


@assume(
    "CMD-020",
    documented="redis/commands/string/set",
    affects="extend() of a lock and SESSION_MERGE are scripts: three billed commands.",
    commands=5,
    profiles=UPSTASH_2026,
)
def test_set_with_ifeq(call, key):
    """SET … IFEQ value PX ms stores only over the value, and returns nil otherwise."""
    assert call("SET", key, "2", "IFEQ", "1", "PX", "60000") is None
    assert call("SET", key, "1") == "OK"
    assert call("SET", key, "2", "IFEQ", "3", "PX", "60000") is None
    assert call("SET", key, "2", "IFEQ", "1", "PX", "60000") == "OK"
    assert call("PTTL", key) == between(1, 60_000)


@assume(
    "CMD-023",
    documented="redis/commands/server/time",
    affects="Rate limits: windows follow the clock of each process.",
    commands=1,
)
def test_time(call):
    """TIME returns Unix seconds and microseconds as text, within 30 s of this machine's clock."""
    now = time.time()
    assert call("TIME") == [between(now - 30, now + 30), between(0, 999_999)]


@assume(
    "CMD-024",
    documented="redis/commands/connection/ping",
    affects="The probe of the circuit breaker and health checks.",
    commands=0,
)
def test_ping(call):
    """PING returns PONG."""
    assert call("PING") == "PONG"


@assume(
    "CMD-025",
    documented="redis/commands/generic/type",
    affects="The panel.",
    commands=3,
)
def test_type(call, key):
    """TYPE returns the type of a value, and `none` for a missing key."""
    assert call("TYPE", key) == "none"
    assert call("HSET", key, "a", "1") == 1
    assert call("TYPE", key) == "hash"


@assume(
    "CMD-026",
    documented="redis/commands/server/dbsize",
    affects="client.redis.dbsize().",
    commands=1,
    profiles=EVERYWHERE,
)
def test_dbsize(call):
    """DBSIZE returns the number of keys."""
    assert call("DBSIZE") == between(0, 10**12)


@assume(
    "CMD-027",
    unproven="no page gives the longest expiry",
    affects="A timeout of many years is refused.",
    commands=3,
)
def test_the_longest_expiry(call, key):
    """An expiry of 2^52 ms, an example of very long ones, is accepted."""
    assert call("SET", key, "1", "PX", str(2**52)) == "OK"
    assert call("PEXPIRE", key, str(2**52)) == 1
    assert str(call("PTTL", key)) == matching(r"4503\d{12}$")


@assume(
    "CMD-028",
    documented="redis/commands/string/msetex",
    affects="Nothing: set_many with a timeout sends one SET per key.",
    commands=5,
    profiles=UPSTASH_2026,
)
def test_msetex(call, make_key):
    """MSETEX stores several values with one expiry and returns 1."""
    first, second = make_key("a"), make_key("b")
    assert call("MSETEX", "2", first, "1", second, "2", "PX", "60000") == 1
    assert call("MGET", first, second) == ["1", "2"]
    assert call("PTTL", second) == between(1, 60_000)


@assume(
    "CMD-033",
    documented="redis/commands/string/getrange",
    affects="The key browser of the panel: it would fetch whole values.",
    commands=5,
)
def test_the_beginning_of_a_value(call, key):
    """STRLEN and GETRANGE return the size and the beginning of a value; a missing key is empty."""
    assert call("GETRANGE", key, "0", "9") == ""
    assert call("STRLEN", key) == 0
    assert call("SET", key, "0123456789abc", "PX", "60000") == "OK"
    assert call("STRLEN", key) == 13
    assert call("GETRANGE", key, "0", "9") == "0123456789"


@assume(
    "CMD-035",
    documented="redis/commands/generic/scan",
    affects="cache_migrate: a source on Upstash is read without --type, or its types are unknown.",
    commands=8,
)
def test_the_types_of_keys(call, make_key):
    """SCAN with TYPE finds keys of that type only; STRLEN of another type is a WRONGTYPE error."""
    text, names = make_key("t:text"), make_key("t:set")
    pattern = make_key("t:") + "*"
    assert call("SET", text, "1", *TTL) == "OK"
    assert call("SADD", names, "1") == 1
    assert call("STRLEN", names) == error("WRONGTYPE.*")
    assert call("TYPE", names) == "set"
    cursor, found = "0", []
    for _ in range(4):
        cursor, page = call("SCAN", cursor, "MATCH", pattern, "COUNT", "1000", "TYPE", "set")
        found += page
        if cursor == "0":
            break
    else:
        pytest.skip("the database has more than about 4,000 keys")
    assert set(found) == {names}
