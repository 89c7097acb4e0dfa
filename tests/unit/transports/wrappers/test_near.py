"""What the near cache keeps, returns and drops, by the commands that still reach the server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from continuum_upstash.codec.envelope import Envelope, pack_envelope
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.errors import ConnectionFailed, ReplyError
from continuum_upstash.observe import NearRead, subscribe, unsubscribe
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.wrappers.near import NearPolicy
from continuum_upstash.transports.wrappers.near_cache import NearCache
from tests.unit.transports.wrappers.near_server import NearServer, make_config

GET_A = Batch((("GET", "q:a"),))


@pytest.fixture
def server():
    return NearServer()


def get(server, *keys):
    """Return the values, and the commands that were sent."""
    command = ("GET", *keys) if len(keys) == 1 else ("MGET", *keys)
    server.sent.clear()
    (reply,) = server.near.send(Batch((command,)))
    return reply, list(server.sent)


def test_a_second_read_sends_nothing(server):
    server.store(**{"q:a": b"\xa1x"})
    assert get(server, "q:a") == (b"\xa1x", [("GET", "q:a")])
    assert get(server, "q:a") == (b"\xa1x", [])
    assert get(server, "q:a", "q:a") == ([b"\xa1x", b"\xa1x"], [])


def test_a_copy_is_not_returned_when_its_time_is_over(server):
    server.store(**{"q:a": b"\xa1x", "page:a": b"\xa1x"})
    get(server, "q:a", "page:a")
    server.store(**{"q:a": b"\xa1y", "page:a": b"\xa1y"})
    server.clock.now += 1.99
    assert get(server, "q:a") == (b"\xa1x", [])
    server.clock.now += 0.01
    assert get(server, "q:a") == (b"\xa1y", [("GET", "q:a")])
    assert get(server, "page:a") == (b"\xa1x", [])


def test_the_time_begins_when_the_read_is_sent(server):
    server.store(**{"q:a": b"\xa1x"})
    server.delay = 1.5
    get(server, "q:a")
    server.delay = 0
    server.clock.now += 0.5
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_only_keys_without_a_copy_are_sent(server):
    server.store(**{"q:a": b"\xa1a", "q:b": b"\xa1b", "other": b"\xa1o"})
    get(server, "q:a")
    assert get(server, "q:a", "q:b", "q:none", "other") == (
        [b"\xa1a", b"\xa1b", None, b"\xa1o"],
        [("MGET", "q:b", "q:none", "other")],
    )
    assert get(server, "q:a", "q:b") == ([b"\xa1a", b"\xa1b"], [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("other", b"\xa1x"),  # no prefix of NEAR
        ("xq:a", b"\xa1x"),
        ("q:a", b"41"),  # perhaps a counter
        ("q:a", b"-1"),
        ("q:a", None),
        ("continuum:session:q:a", b"\xa1x"),
    ],
)
def test_what_is_never_copied(key, value, server):
    if value is not None:
        server.store(**{key: value})
    assert get(server, key)[1] == get(server, key)[1] == [("GET", key)]
    assert len(server.cache) == 0


def test_no_prefix_can_include_a_reserved_key():
    server = NearServer(make_config(near=(("continuum:", 5.0),)))
    server.store(**{"continuum:session:a": b"\xa1x"})
    assert get(server, "continuum:session:a")[1] == get(server, "continuum:session:a")[1] != []


@pytest.mark.parametrize(
    "batch",
    [
        Batch((("GET", "q:a"),), needs_server=True),
        Batch((("GET", "q:a"),), atomic=True),
        Batch((("GET", "q:a"), ("GET", "q:b"))),
        Batch((("EXISTS", "q:a"),)),
        Batch((("STRLEN", "q:a"),)),
        Batch((("GET",),)),
        Batch((("GET", "q:a", "q:b"),)),
        Batch((("MGET",),)),
    ],
)
def test_other_reads_are_sent_and_keep_the_copy(batch, server):
    server.store(**{"q:a": b"\xa1x"})
    get(server, "q:a")
    server.sent.clear()
    server.near.send(batch)
    assert server.sent == list(batch.commands)
    assert get(server, "q:a")[1] == []


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "q:a", b"\xa1y"),
        ("SET", b"q:a", b"\xa1y"),
        ("set", "q:a", b"\xa1y", "PX", 50),
        ("MSET", "q:b", b"\xa1y", "q:a", b"\xa1y"),
        ("DEL", "q:b", "q:a"),
        ("UNLINK", "q:a"),
        ("PEXPIRE", "q:a", 50),
        ("PERSIST", "q:a"),
        ("INCRBY", "q:a", 1),
        ("EVAL", INCR_EXISTING, 1, "q:a", 1),
        ("EVAL", "return redis.call('SET', 'q:' .. 'a', 1)", 0),
        ("RENAME", "q:b", "q:a"),
        ("RENAME", "q:a", "q:b"),
        ("GETDEL", "q:a"),
        ("APPEND", "q:a", "x"),
        ("FLUSHDB",),
        ("SCAN", "0", "MATCH", "*"),
    ],
)
def test_a_write_drops_the_copies_of_its_keys(command, server):
    server.store(**{"q:a": b"\xa1x"})
    get(server, "q:a")
    server.replies = [[b"OK"]]
    server.near.send(Batch((("PING",), command)))
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def write(server, *commands):
    server.near.send(Batch(commands))


def test_what_is_stored_is_copied_for_its_lifetime(server):
    write(server, ("SET", "q:a", b"\xa1x"), ("SET", "q:b", b"\xa1x", "PX", 500, "NX"))
    assert get(server, "q:a", "q:b") == ([b"\xa1x", b"\xa1x"], [])
    server.clock.now += 0.5
    assert get(server, "q:a", "q:b")[1] == [("MGET", "q:b")]
    server.clock.now += 1.5
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_the_last_value_of_a_batch_is_copied(server):
    write(server, ("SET", "q:a", b"\xa1x"), ("SET", "q:a", b"\xa1y"), ("SET", "q:a", b"z", "NX"))
    assert get(server, "q:a") == (b"\xa1y", [])


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "q:a", b"\xa1y", "NX"),
        ("SET", "q:none", b"\xa1y", "XX"),
        ("SET", "q:n", b"41"),
        ("SET", "other", b"\xa1y"),
        ("SET", "q:t", "text"),
        ("SET", "q:k", b"\xa1y", "EX", 60),
        ("SET", "q:k", b"\xa1y", "PX"),
        ("SET", b"q:k", b"\xa1y"),
    ],
)
def test_other_values_are_not_copied(command, server):
    server.store(**{"q:a": b"\xa1x"})
    write(server, command)
    assert len(server.cache) == 0
    assert not server.cache._claims


def test_of_two_writes_at_once_none_is_copied(server):
    server.during = lambda: write(server, ("SET", "q:a", b"\xa1x"))
    write(server, ("SET", "q:a", b"\xa1y"))
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_a_write_during_which_another_read_began_is_not_copied(server):
    server.during = lambda: get(server, "q:a")
    write(server, ("SET", "q:a", b"\xa1y"))
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_what_only_the_local_store_has_stored_is_not_copied(server):
    def fail_over():
        server.policy.failover.local_replies += 1

    server.during = fail_over
    write(server, ("SET", "q:a", b"\xa1y"))
    assert len(server.cache) == 0


def test_a_value_that_was_not_stored_is_not_copied(server):
    server.replies = [[ReplyError("OOM")]]
    write(server, ("SET", "q:a", b"\xa1y"))
    assert len(server.cache) == 0


def test_a_write_keeps_the_copies_of_other_keys(server):
    server.store(**{"q:a": b"\xa1x"})
    get(server, "q:a")
    server.near.send(Batch((("SET", "q:b", b"1"), ("PING",), ("DEL", "c"))))
    assert get(server, "q:a")[1] == []


def test_a_write_that_fails_drops_the_copies_too(server):
    server.store(**{"q:a": b"\xa1x"})
    get(server, "q:a")
    server.replies = [ConnectionFailed("no reply")]
    with pytest.raises(ConnectionFailed):
        server.near.send(Batch((("SET", "q:a", b"\xa1y"),)))
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_a_read_that_began_before_a_write_is_not_copied(server):
    server.store(**{"q:a": b"\xa1x", "q:b": b"\xa1x"})
    server.during = lambda: server.near.send(Batch((("SET", "q:a", b"\xa1y"),)))
    assert get(server, "q:a", "q:b")[0] == [b"\xa1x", b"\xa1x"]
    assert get(server, "q:a") == (b"\xa1y", [])  # the copy of what was written
    assert get(server, "q:b") == (b"\xa1x", [])


def test_a_failed_read_leaves_nothing_behind(server):
    for failure in (ConnectionFailed("no reply"), [ReplyError("WRONGTYPE")]):
        server.replies = [failure]
        if isinstance(failure, list):
            assert server.near.send(GET_A) == failure
        else:
            with pytest.raises(ConnectionFailed):
                server.near.send(GET_A)
    assert len(server.cache) == 0
    assert not server.cache._claims


def test_what_the_local_store_serves_is_not_copied(server):
    def fail_over():
        server.policy.failover.local_replies += 1

    server.store(**{"q:a": b"\xa1x"})
    server.during = fail_over
    get(server, "q:a")
    assert get(server, "q:a")[1] == [("GET", "q:a")]
    assert get(server, "q:a")[1] == []


def test_keys_that_are_unlinked_after_an_outage_have_no_copies(server):
    server.store(**{"q:a": b"\xa1x", "q:b": b"\xa1x"})
    get(server, "q:a", "q:b")
    server.policy.failover.drop_copies(["q:a"])
    assert get(server, "q:a", "q:b")[1] == [("MGET", "q:a")]
    server.policy.failover.drop_copies(None)
    assert len(server.cache) == server.cache.size == 0


def test_the_copies_are_bounded_in_number_and_bytes():
    server = NearServer(make_config(near_max_entries=3, near_max_bytes=2000))
    server.store(**{f"q:{i}": b"\xa1x" for i in range(5)}, **{"q:big": b"\xc4" + b"x" * 1500})
    for i in range(5):
        get(server, f"q:{i}")
    assert [get(server, f"q:{i}")[1] for i in (2, 3, 4)] == [[], [], []]
    get(server, "q:big")
    assert server.cache.size <= 2000
    assert get(server, "q:big")[1] == []
    server.store(**{"q:huge": b"\xc4" + b"x" * 2000})
    get(server, "q:huge")
    assert get(server, "q:huge")[1] != []
    assert get(server, "q:big")[1] == []


TAG, OTHER_TAG, LEASE = "continuum:tag:s:a", "continuum:tag:s:b", "continuum:lease:q:a"
TOKEN, OTHER_TOKEN = b"0123456789ab", b"ba9876543210"
TAGGED = pack_envelope(Envelope(b"\xa1x", tokens={"s:a": TOKEN}))


def test_a_read_with_a_lease_and_tags_is_served_from_copies_as_a_whole(server):
    server.store(**{"q:a": TAGGED, TAG: TOKEN})
    keys, expected = ("q:a", LEASE, TAG), [TAGGED, None, TOKEN]
    assert get(server, *keys) == (expected, [("MGET", *keys)])
    server.store(**{LEASE: b"held"})
    assert get(server, *keys) == (expected, [])
    assert get(server, "q:a", LEASE) == ([TAGGED, None], [])
    assert get(server, "q:a") == (TAGGED, [])
    assert get(server, *keys, OTHER_TAG)[1] == [("MGET", *keys, OTHER_TAG)]


def test_deleting_a_tag_drops_the_copies_of_its_values(server):
    server.store(**{"q:a": TAGGED, "q:b": b"\xa1x", TAG: TOKEN})
    get(server, "q:a", TAG)
    get(server, "q:b")
    server.near.send(Batch((("DEL", TAG),)))
    assert get(server, "q:a", TAG) == ([TAGGED, None], [("MGET", "q:a", TAG)])
    assert get(server, "q:b")[1] == []


@pytest.mark.parametrize("token", [OTHER_TOKEN, None])
def test_a_value_with_other_tokens_is_not_copied(token, server):
    server.store(**{"q:a": TAGGED})
    if token is not None:
        server.store(**{TAG: token})
    for _ in range(2):
        assert get(server, "q:a", LEASE, TAG)[1] == [("MGET", "q:a", LEASE, TAG)]


def test_a_copy_without_its_tokens_serves_only_a_read_of_the_value(server):
    server.store(**{"q:a": TAGGED, TAG: TOKEN})
    get(server, "q:a")
    assert get(server, "q:a") == (TAGGED, [])
    assert get(server, "q:a", LEASE)[1] == get(server, "q:a", LEASE)[1] != []
    assert get(server, "q:a", TAG)[1] == [("MGET", "q:a", TAG)]
    assert get(server, "q:a", TAG)[1] == []


def test_a_tag_that_is_deleted_during_the_read_prevents_the_copy(server):
    server.store(**{"q:a": TAGGED, TAG: TOKEN})
    server.during = lambda: server.near.send(Batch((("DEL", TAG),)))
    get(server, "q:a", TAG)
    assert len(server.cache) == 0


def test_tokens_alone_are_sent_and_not_copied(server):
    server.store(**{"q:a": TAGGED, TAG: TOKEN})
    get(server, "q:a", TAG)
    for _ in range(2):
        assert get(server, TAG, TAG) == ([TOKEN, TOKEN], [("MGET", TAG, TAG)])


def test_bytes_that_are_no_envelope_are_not_copied(server):
    server.store(**{"q:a": b"\x04cut"})
    assert get(server, "q:a")[1] == get(server, "q:a")[1] != []


def test_no_other_reserved_key_is_copied(server):
    key = "continuum:session:q:a"
    server.store(**{"q:a": b"\xa1x", key: b"\xa1x"})
    for _ in range(2):
        assert get(server, "q:a", key)[1] == [("MGET", "q:a", key)]
    assert server.cache.find(key) is None


def test_a_value_has_no_copy_while_its_early_refresh_may_be_due(server):
    fresh_until_ms = int((server.clock.now + 60) * 1000)
    server.store(**{"q:a": pack_envelope(Envelope(b"\xa1x", fresh_until_ms, 1000))})
    get(server, "q:a")
    server.clock.now += 49
    get(server, "q:a")
    server.clock.now += 0.9
    assert get(server, "q:a")[1] == []
    server.clock.now += 0.1
    assert get(server, "q:a")[1] == get(server, "q:a")[1] == [("GET", "q:a")]


@pytest.mark.parametrize("is_text", [False, True])
@pytest.mark.parametrize(("fresh_for", "seconds"), [(60, 2.0), (1.5, 1.5), (0, 0), (-1, 0)])
def test_an_old_value_is_not_copied(fresh_for, seconds, is_text, server):
    fresh_until_ms = int((server.clock.now + fresh_for) * 1000)
    value = pack_envelope(Envelope(b"\xa1x", fresh_until_ms))
    server.store(**{"q:a": SignedBase64((b"key",)).encode(value).encode() if is_text else value})
    get(server, "q:a")
    server.clock.now += seconds - 0.01
    assert get(server, "q:a")[1] == ([] if seconds else [("GET", "q:a")])
    server.clock.now += 0.01
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_text_that_looks_like_base64_is_copied(server):
    server.store(**{"q:a": b"~/.profile"})
    get(server, "q:a")
    assert get(server, "q:a")[1] == []


def test_the_longest_prefix_decides():
    server = NearServer(make_config(near=(("q:", 1.0), ("q:slow:", 60.0))))
    server.store(**{"q:slow:a": b"\xa1x", "q:a": b"\xa1x"})
    get(server, "q:slow:a", "q:a")
    server.clock.now += 30
    assert get(server, "q:slow:a", "q:a")[1] == [("MGET", "q:a")]


def test_a_database_without_copies_drops_those_of_others(server):
    other = NearPolicy(make_config(near=()), server.policy.failover)
    other.caches = (server.cache,)
    server.store(**{"q:a": b"\xa1x"})
    get(server, "q:a")
    transport = other.wrap(SimpleNamespace(name="x", send=server.send))
    transport.send(GET_A)
    assert get(server, "q:a")[1] == []
    transport.send(Batch((("DEL", "q:a"),)))
    assert get(server, "q:a")[1] == [("GET", "q:a")]


def test_hits_and_saved_commands_are_reported(server):
    records = []
    subscribe(records.append)
    try:
        server.store(**{"q:a": b"\xa1a", "q:b": b"\xa1b"})
        get(server, "q:a")
        get(server, "q:a")
        get(server, "q:a", "q:b")
        get(server, "q:a", "q:b")
    finally:
        unsubscribe(records.append)
    assert records == [
        NearRead("near", 1, 1),
        NearRead("near", 1, 0),
        NearRead("near", 2, 1),
    ]


async def test_a_cancelled_write_drops_the_copies(server):
    server.store(**{"q:a": b"\xa1x"})
    near = server.policy.wrap_async(server)
    assert await near.asend(GET_A) == await near.asend(GET_A) == [b"\xa1x"]
    server.hold = asyncio.Event()
    write = asyncio.create_task(near.asend(Batch((("SET", "q:a", b"\xa1y"),))))
    await asyncio.sleep(0)
    assert await near.asend(GET_A) == [b"\xa1x"]
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    server.hold = None
    server.sent.clear()
    await near.asend(GET_A)
    assert server.sent == [("GET", "q:a")]


async def test_a_cancelled_read_leaves_nothing_behind(server):
    server.hold = asyncio.Event()
    read = asyncio.create_task(server.policy.wrap_async(server).asend(GET_A))
    await asyncio.sleep(0)
    assert len(server.cache._claims) == 1
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    assert not server.cache._claims


def test_the_scope_precedes_the_prefix():
    cache = NearCache(make_config(near_scope="(?:shop:-?[0-9]+:|shop:v:)"))
    keys = ["shop:1:q:a", "shop:v:q:a", "shop:1:xq:a", "q:a", "shop:w:q:a"]
    cache.add(cache.claim(keys), [b"\xa1x"] * len(keys))
    assert [cache.find(key) is not None for key in keys] == [True, True, False, False, False]
