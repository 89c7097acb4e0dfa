"""LUA: scripts.

Upstash does not run Redis' Lua but GopherLua, as its tracebacks show. Therefore the scripts of this
package are compared with the Python rules that the local store runs in their place.
"""

from __future__ import annotations

import hashlib
import random

import pytest

from continuum_upstash.config.resolve import Config
from continuum_upstash.federation.queue.scripts import RESERVE
from continuum_upstash.plans.conditional import REPLACE
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.locks import EXTEND, RELEASE
from continuum_upstash.protocol import Script
from continuum_upstash.ratelimit.engine.script import CHECK, Charge, build_command
from continuum_upstash.ratelimit.policy import parse_policy
from continuum_upstash.sessions.plans import ROTATE_KEY
from continuum_upstash.transports.local.transport import LocalTransport
from tests.service.catalogue import OVER_TCP, UPSTASH, assume
from tests.service.counter import declare_calls
from tests.service.expectations import between, error

TTL = ("PX", "60000")
FLAG = "#!lua flags=allow-key-locking\n"


def get_source(script: Script, profile: str) -> str:
    """Return the script as the package sends it to this server."""
    return script.source(key_locking=profile != "srh")


@assume(
    "LUA-001",
    documented="redis/features/key-locking",
    affects="Every script: incr, rate limits, the rotation of session keys.",
    commands=3,
    profiles=OVER_TCP,
)
def test_the_flag_of_key_locking(call, key):
    """A script that begins with `#!lua flags=allow-key-locking` runs."""
    assert call("SET", key, "1", *TTL) == "OK"
    assert call("EVAL", FLAG + "return redis.call('GET', KEYS[1])", "1", key) == "1"


@assume(
    "LUA-002",
    seen_in="upstash/ratelimit-js src/ratelimit.ts, upstash/ratelimit-py",
    affects="Rate limits: each check sends the whole script.",
    commands=2,
    profiles=OVER_TCP,
)
def test_the_hash_of_a_script_with_the_flag(call):
    """EVALSHA finds a script by the SHA-1 of its text, the line with the flag included."""
    script = FLAG + f"return {random.getrandbits(40)}"
    expected = call("EVAL", script, "0")
    assert call("EVALSHA", hashlib.sha1(script.encode()).hexdigest(), "0") == expected


@assume(
    "LUA-003",
    seen_in="upstash/redis-js packages/redis/pkg/pipeline.test.ts",
    affects="Rate limits fail after a restart of the server, instead of sending the script.",
    commands=1,
)
def test_an_unknown_hash(call):
    """EVALSHA with an unknown hash returns an error that begins with NOSCRIPT."""
    assert call("EVALSHA", hashlib.sha1(random.randbytes(8)).hexdigest(), "0") == error("NOSCRIPT")


@assume(
    "LUA-004",
    documented="redis/features/key-locking",
    affects="Only the emulator: it refuses a script that the service accepts.",
    commands=2,
    profiles=OVER_TCP,
)
def test_an_undeclared_key(call, key):
    """With the flag, a key that is not in KEYS is an error."""
    reply = call("EVAL", FLAG + f"return redis.call('GET', '{key}')", "0")
    assert reply == error("ERR .*Dynamic keys are not allowed")


@assume(
    "LUA-005",
    unproven="GopherLua and Lua convert values by code of their own",
    affects="Replies of scripts: rate limits and incr.",
    commands=1,
)
def test_conversion_of_results(call):
    """Results are converted as by Redis: integers, text, arrays up to nil, false as nil."""
    script = "return {1, 3.9, 'a', false, {2, {3}}, true, nil, 4}"
    assert call("EVAL", script, "0") == [1, 3, "a", None, [2, [3]], 1]


@assume(
    "LUA-006",
    unproven="GopherLua formats numbers itself",
    affects="Counters and timestamps in scripts are stored as 1.7e+12.",
    commands=3,
)
def test_numbers_as_arguments(call, key):
    """A number below 2^53 is passed to a command, and concatenated, as its decimal digits."""
    script = (
        "local n = tonumber(ARGV[1]) + 1\n"
        "redis.call('SET', KEYS[1], n, 'PX', 60000)\n"
        "return {redis.call('GET', KEYS[1]), '' .. n}"
    )
    assert call("EVAL", script, "1", key, "1764200000000") == ["1764200000001"] * 2


@assume(
    "LUA-007",
    unproven="GopherLua and Lua 5.1 read numbers differently",
    affects="Rate limits: counters are misread.",
    commands=1,
)
def test_text_as_numbers(call):
    """tonumber reads decimal text, and returns nil for empty text."""
    script = "return {tonumber('12'), tonumber('0'), tostring(tonumber('')), '7' + 1}"
    assert call("EVAL", script, "0") == [12, 0, "nil", 8]


@assume(
    "LUA-008",
    unproven="GopherLua implements Lua's patterns itself",
    affects="Rate limits of the algorithm `strict`, which store their counters as text.",
    commands=1,
)
def test_patterns(call):
    """string.match, string.gmatch, string.rep, table.insert and table.concat work as in Lua."""
    script = (
        "local last, rest = string.match('12 3 45', '^(%d+)(.*)')\n"
        "local found = {}\n"
        "for number in string.gmatch(rest, '%d+') do found[#found + 1] = number end\n"
        "table.insert(found, 1, '9' .. string.rep(' 0', 2))\n"
        "return {last, table.concat(found, ' '), tostring(string.match('', '^%d+'))}"
    )
    assert call("EVAL", script, "0") == ["12", "9 0 0 3 45", "nil"]


@assume(
    "LUA-009",
    unproven="GopherLua limits the size of its registry",
    affects="Rate limits with hundreds of policies in one decision.",
    commands=2,
)
def test_unpack_of_many_keys(call, make_key):
    """unpack passes 200 keys to one command."""
    keys = [make_key(str(number)) for number in range(200)]
    reply = call("EVAL", "return #redis.call('MGET', unpack(KEYS))", "200", *keys)
    assert reply == 200


@assume(
    "LUA-010",
    seen_in="upstash/redis-js packages/redis/pkg/functions.integration.test.ts",
    affects="incr: ReplyError instead of TypeError or OverflowError.",
    commands=10,
    profiles=OVER_TCP,
)
def test_the_error_of_an_inner_command(call, key):
    """The error of a script contains the error of the command that failed in it."""
    source = INCR_EXISTING.source(key_locking=True)
    assert call("SET", key, "text", *TTL) == "OK"
    assert call("EVAL", source, "1", key, "1") == error("(?s)ERR.*not an int")
    assert call("SET", key, str(2**63 - 1), *TTL) == "OK"
    assert call("EVAL", source, "1", key, "1") == error("(?s)ERR.*overflow")


@assume(
    "LUA-011",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="Only the emulator: it undoes what the service keeps.",
    commands=4,
    profiles=UPSTASH,
)
def test_a_script_that_fails_is_undone(rest, key):
    """A script that fails leaves nothing that it wrote."""
    script = "redis.call('SET', KEYS[1], '1', 'PX', 60000) return redis.call('NOSUCHCOMMAND')"
    assert rest.call("EVAL", script, "1", key) == error("ERR")
    assert rest.call("EXISTS", key) == 0


# ---- the scripts of this package


@assume(
    "LUA-020",
    unproven="it ran on GopherLua, never on the service",
    affects="cache.incr and cache.decr.",
    commands=18,
)
def test_the_script_of_incr(call, key, target):
    """The script of incr returns the sum, exact beyond 2^53, or nil for a missing key."""
    source = get_source(INCR_EXISTING, target.profile)
    assert call("EVAL", source, "1", key, "5") is None
    assert call("SET", key, "10", *TTL) == "OK"
    assert call("EVAL", source, "1", key, "-3") == 7
    assert call("SET", key, str(2**60), *TTL) == "OK"
    assert call("EVAL", source, "1", key, "1") == str(2**60 + 1)


@assume(
    "LUA-021",
    unproven="they ran on GopherLua, never on the service",
    affects="Locks on a database without DELEX and SET IFEQ.",
    commands=14,
)
def test_the_scripts_of_locks(call, key, target):
    """The scripts of locks extend and release a lock only with its token."""
    release, extend = get_source(RELEASE, target.profile), get_source(EXTEND, target.profile)
    assert call("SET", key, "mine", "PX", "5000") == "OK"
    assert call("EVAL", extend, "1", key, "theirs", "60000") == 0
    assert call("EVAL", extend, "1", key, "mine", "60000") == 1
    assert call("EVAL", release, "1", key, "theirs") == 0
    assert call("EVAL", release, "1", key, "mine") == 1


@assume(
    "LUA-022",
    unproven="they ran on GopherLua, never on the service",
    affects="Sessions: login, cycle_key, and SESSION_MERGE without SET IFEQ.",
    commands=34,
)
def test_the_scripts_of_sessions(call, make_key, target):
    """The scripts of sessions rotate a key, and replace a session only if it is unchanged."""
    rotate, replace = get_source(ROTATE_KEY, target.profile), get_source(REPLACE, target.profile)
    old, new = make_key("old"), make_key("new")
    assert call("EVAL", rotate, "2", new, old, "data", "60000", "1") == -1
    assert call("SET", old, "data", *TTL) == "OK"
    assert call("EVAL", rotate, "2", new, old, "data", "60000", "1") == 1
    assert call("EVAL", rotate, "2", new, old, "data", "60000", "1") == 1  # sent again
    assert call("EVAL", rotate, "2", new, old, "data", "60000", "0") == 1
    assert call("EVAL", rotate, "2", new, old, "other", "60000", "0") == 0
    assert call("EVAL", replace, "1", new, "other", "newer", "PX", "60000") is None
    assert call("EVAL", replace, "1", new, "data", "newer", "PX", "60000") == "OK"


START = 1_764_200_040_000  # where windows of 60 s begin


@assume(
    "LUA-023",
    unproven="it ran on GopherLua, never on the service",
    affects="Rate limits: requests are allowed or refused that should not be.",
    commands=16,
)
@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_the_script_of_the_limiter(call, make_key, target, algorithm):
    """The script of the limiter decides as the rules in Python do."""
    policy = parse_policy("suite", {"rate": "5/60000ms", "algorithm": algorithm})
    charge = Charge(policy, make_key("limit"), 2, policy.limit)
    model = LocalTransport(Config(), clock=lambda: START / 1000)
    source = get_source(CHECK, target.profile)
    declare_calls(source, 3)  # a read, and at most two writes for one policy
    for offset in (1_000, 20_000, 20_100, 70_000):
        command = build_command([charge], START + offset, use_server_clock=False, by_hash=False)
        _, _, count, *words = command
        for key in words[:count]:
            make_key.add(key)
        (expected,) = model.send(Batch((command,)))
        assert call("EVAL", source, str(count), *map(str, words)) == expected


@assume(
    "LUA-024",
    unproven="no page mentions it; Redis allows it",
    affects="Rate limits on a Redis that is not Upstash's.",
    commands=2,
)
def test_time_in_a_script(call):
    """A script may call TIME."""
    script = "local time = redis.call('TIME') return {time[1] * 1000, #time}"
    assert call("EVAL", script, "0") == [between(1.7e12, 9e12), 2]


@assume(
    "LUA-025",
    seen_in="upstash/ratelimit-js src/lua-scripts/single.ts, src/deny-list/scripts.ts",
    affects="Rate limits shared with @upstash/ratelimit: dynamic limits, deny lists, analytics.",
    commands=17,
)
def test_what_the_limiter_shares_in_one_script(call, make_key, target):
    """The script of the limiter reads a dynamic limit and a deny list, and records an event."""
    source, now = get_source(CHECK, target.profile), 1_764_200_001_000
    declare_calls(source, 4)  # MGET, SMISMEMBER, SET, ZINCRBY
    counter, dynamic, events, denied = keys = [make_key(name) for name in ("c", "d", "e", "l")]
    assert call("SET", dynamic, "7", *TTL) == "OK"
    assert call("SADD", denied, "mallory") == 1
    arguments = ["fixed", "5", "10000", str(now // 10_000 * 10_000), "2", "1"]

    def check(value):
        shared = ['{"identifier":"x","success":', "1", value]
        return call("EVAL", source, "4", *keys, str(now), *arguments, *shared)

    assert check("alice") == [now, 1, 5, 0, 9_000, 7, 0]
    assert check("mallory") == [now, 0, 5, 60_000, 60_000, 7, 1]
    assert call("GET", counter) == "2"
    assert call("ZSCORE", events, '{"identifier":"x","success":true}') == "1"
    assert call("EXPIRE", events, "60") == 1
    assert call("EXPIRE", denied, "60") == 1


@assume(
    "LUA-026",
    unproven="it ran on GopherLua, never on the service",
    affects="Queues: workers reserve no jobs, or in another order.",
    commands=21,
)
def test_the_script_of_queues(call, make_key, target):
    """The script of queues leases jobs by priority and order, and moves expired jobs."""
    source, now = get_source(RESERVE, target.profile), 1_800_000_000_000
    jobs, dead, _ = keys = [make_key(name) for name in ("jobs", "dead", "names")]
    declare_calls(source, 5)  # ZPOPMIN, ZRANGEBYSCORE, ZADD, ZREM, ZADD

    def make_member(digit, expires=0, attempts=0, lease="-"):
        return f"{digit * 24} 0 {attempts} 5 {expires} {lease} - -\n{{}}"

    members = ["-1000", make_member("a"), "-1000", make_member("b"), "-1005", "no job"]
    members += [str(now - 1), make_member("c"), str(now + 9), make_member("d")]
    assert call("ZADD", jobs, *members, "-1000", make_member("9", now - 1)) == 6

    def reserve(count, check):
        arguments = (str(now), str(now + 30_000), "token", str(count), check)
        return call("EVAL", source, "3", *keys, *arguments)

    found = [make_member(digit, attempts=1, lease="token") for digit in "ab"]
    assert reserve(3, "0") == [0, 0, 2, between(2, 5), found[0]]
    assert reserve(2, "1") == [0, 0, 0, between(2, 5), found[1], make_member("c", 0, 1, "token")]
    assert reserve(1, "0") == [0, now + 9, 0, between(2, 5)]
    assert call("ZCARD", dead) == 2
