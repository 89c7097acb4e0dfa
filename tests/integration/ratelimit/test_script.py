"""The Lua script against its reference in Python, on a real server in both flavours."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.script import command
from continuum_upstash.ratelimit.policy import make
from continuum_upstash.transports.local.transport import LocalTransport
from tests.unit.ratelimit.ratelimit_store import charges_for

START = 1_764_000_000_000
ALGORITHMS = ["strict", "fixed", "sliding", "token_bucket"]

policies = st.builds(
    lambda algorithm, limit, window: make(
        "p", {"rate": f"{limit}/{window}ms", "algorithm": algorithm}
    ),
    st.sampled_from(ALGORITHMS),
    st.integers(1, 12),
    st.sampled_from([60_000, 61_003, 3_600_000]),
)
sets_of_policies = st.lists(policies, min_size=1, max_size=4)
histories = st.lists(
    st.tuples(
        st.integers(-30_000, 50_000) | st.integers(0, 3),  # ms; clocks also go back
        st.integers(0, 1) | st.integers(0, 5),
        st.sampled_from(["a", "b"]),
    ),
    min_size=1,
    max_size=40,
)


def named_apart(chosen):
    return [
        make(f"p{number}", {"rate": str(each.rate), "algorithm": each.algorithm})
        for number, each in enumerate(chosen)
    ]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sets_of_policies, histories)
def test_lua_and_python_say_and_store_the_same(transport, make_cache, chosen, history):
    database = make_cache(transport).database
    database.send(Batch([("FLUSHDB",)]))
    # Nothing expires: the rules take the time as an argument.
    reference = LocalTransport(Config(), clock=lambda: 1.0)
    now = START
    for gap, cost, who in history:
        now += gap
        asked = charges_for(named_apart(chosen), min([cost, *(each.limit for each in chosen)]), who)
        sent = command(asked, now, servers_clock=False, by_hash=False)
        (expected,) = reference.send(Batch((sent,)))
        (reply,) = database.send(Batch((sent,), needs_server=True))
        assert reply == expected
    assert stored(database.send) == stored(reference.send)


def stored(send):
    keys = set()
    cursor = 0
    while True:
        ((cursor, found),) = send(Batch([("SCAN", cursor, "COUNT", 1000)]))
        keys.update(key.decode() for key in found)
        if int(cursor) == 0:
            break
    values = {}
    for key in sorted(keys):
        (kind,) = send(Batch([("TYPE", key)]))
        command = ("GET", key) if kind == b"string" else ("HMGET", key, "refilledAt", "tokens")
        (values[key],) = send(Batch([command]))
    return values


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_key_has_an_end(transport, algorithm, make_cache):
    send = make_cache(transport).database.send
    send(Batch([("FLUSHDB",)]))
    asked = charges_for([make("p", {"rate": "5/10s", "algorithm": algorithm})], 1)
    for _ in range(3):
        send(Batch((command(asked, START, servers_clock=False, by_hash=False),), needs_server=True))
    ((_, keys),) = send(Batch([("SCAN", 0)]))
    assert keys
    for key in keys:
        (left,) = send(Batch([("PTTL", key.decode())]))
        assert 0 < left <= 21_000


def test_the_servers_clock_is_the_time_in_milliseconds(make_cache):
    send = make_cache("tcp").database.send
    asked = charges_for([make("p", {"rate": "5/10s"})], 1)
    before, (reply,), after = (
        send(Batch([("TIME",)])),
        send(Batch((command(asked, 0, servers_clock=True, by_hash=False),), needs_server=True)),
        send(Batch([("TIME",)])),
    )

    def milliseconds(replies):
        seconds, micros = map(int, replies[0])
        return seconds * 1000 + micros // 1000

    assert milliseconds(before) <= reply[0] <= milliseconds(after)


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_key_of_a_wrong_type_charges_nobody(transport, make_cache):
    send = make_cache(transport).database.send
    send(Batch([("FLUSHDB",)]))
    asked = charges_for(
        [make("s", {"rate": "5/m"}), make("b", {"rate": "5/m", "algorithm": "token_bucket"})], 1
    )
    send(Batch([("SET", asked[1].storage, b"not a hash")]))
    (reply,) = send(
        Batch((command(asked, START, servers_clock=False, by_hash=False),), needs_server=True)
    )
    assert isinstance(reply, ReplyError)
    assert stored(send) == {asked[1].storage: b"not a hash"}


@pytest.mark.parametrize(
    ("algorithm", "charged", "refused"),
    [("strict", 3, 2), ("fixed", 3, 2), ("sliding", 3, 2), ("token_bucket", 4, 2)],
)
def test_a_check_is_billed_as_much_as_the_script_says(
    algorithm, charged, refused, make_cache, emulator
):
    send = make_cache("rest").database.send
    asked = charges_for([make("p", {"rate": "1/d", "algorithm": algorithm})], 1)
    sent = command(asked, START, servers_clock=False, by_hash=False)
    script = sent[1]
    for billed in (charged, refused):
        with emulator.count() as spent:
            (reply,) = send(Batch((sent,), needs_server=True))
        assert spent.billed == billed
        assert 1 + script.count_billed(sent, reply) == billed


def test_three_policies_cost_one_read_and_a_write_each(make_cache, emulator):
    send = make_cache("rest").database.send
    asked = charges_for([make(name, {"rate": "9/d"}) for name in "abc"], 1)
    with emulator.count() as spent:
        send(Batch((command(asked, START, servers_clock=False, by_hash=False),), needs_server=True))
    assert (spent.billed, spent.requests) == (5, 1)
