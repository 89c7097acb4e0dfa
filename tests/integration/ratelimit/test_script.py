"""The Lua script against its reference in Python, on a real server with and without key locking."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.script import build_command
from continuum_upstash.ratelimit.policy import parse_policy
from continuum_upstash.transports.local.transport import LocalTransport
from tests.integration.ratelimit.limiters import ALGORITHMS
from tests.unit.ratelimit.script_store import build_charges

START = 1_764_000_000_000

policies = st.builds(
    lambda algorithm, limit, window: parse_policy(
        "p", {"rate": f"{limit}/{window}ms", "algorithm": algorithm}
    ),
    st.sampled_from(ALGORITHMS),
    st.integers(1, 12),
    st.sampled_from([60_000, 61_003, 3_600_000]),
)
sets_of_policies = st.lists(policies, min_size=1, max_size=4)
dynamic_limits = st.none() | st.sampled_from(["7", "3", "0", "-1", "2.9", "x"])
histories = st.lists(
    st.tuples(
        st.integers(-30_000, 50_000) | st.integers(0, 3),  # ms; a clock can be set back
        st.integers(0, 1) | st.integers(0, 5),
        st.sampled_from(["a", "b"]),
    ),
    min_size=1,
    max_size=40,
)


def build_eval(charges, now=START, *, use_server_clock=False):
    return build_command(charges, now, use_server_clock=use_server_clock, by_hash=False)


def build_batch(charges, now=START, *, use_server_clock=False):
    command = build_eval(charges, now, use_server_clock=use_server_clock)
    return Batch((command,), needs_server=True)


def give_distinct_names(chosen, shared=()):
    """Return policies with their own counters; the `shared` ones have an upstash_prefix."""
    return [
        parse_policy(
            f"p{number}",
            {
                "rate": str(each.rate),
                "algorithm": each.algorithm,
                "upstash_prefix": f"p{number}" if is_shared(each, number, shared) else None,
            },
        )
        for number, each in enumerate(chosen)
    ]


def is_shared(policy, number, shared):
    return policy.algorithm != "strict" and number in shared


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sets_of_policies, histories, st.dictionaries(st.integers(0, 3), dynamic_limits))
def test_lua_and_python_return_and_store_the_same(transport, make_cache, chosen, history, shared):
    database = make_cache(transport).database
    database.send(Batch([("FLUSHDB",)]))
    # Nothing expires: the rules take the time as an argument.
    reference = LocalTransport(Config(), clock=lambda: 1.0)
    for number, limit in shared.items():
        for send in (database.send, reference.send) if limit is not None else ():
            send(Batch([("SET", f"p{number}:dynamic:global", limit)]))
    now = START
    for gap, cost, identity in history:
        now += gap
        charges = build_charges(
            give_distinct_names(chosen, shared),
            min([cost, *(each.limit for each in chosen)]),
            identity,
        )
        command = build_eval(charges, now)
        (expected,) = reference.send(Batch((command,)))
        (reply,) = database.send(Batch((command,), needs_server=True))
        assert reply == expected
    assert read_all(database.send) == read_all(reference.send)


def read_all(send):
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
def test_each_key_expires(transport, algorithm, make_cache):
    send = make_cache(transport).database.send
    send(Batch([("FLUSHDB",)]))
    charges = build_charges([parse_policy("p", {"rate": "5/10s", "algorithm": algorithm})], 1)
    for _ in range(3):
        send(build_batch(charges))
    ((_, keys),) = send(Batch([("SCAN", 0)]))
    assert keys
    for key in keys:
        (left,) = send(Batch([("PTTL", key.decode())]))
        assert 0 < left <= 21_000


def test_the_server_clock_is_in_milliseconds(make_cache):
    send = make_cache("tcp").database.send
    charges = build_charges([parse_policy("p", {"rate": "5/10s"})], 1)
    before, (reply,), after = (
        send(Batch([("TIME",)])),
        send(build_batch(charges, 0, use_server_clock=True)),
        send(Batch([("TIME",)])),
    )

    def to_ms(replies):
        seconds, microseconds = map(int, replies[0])
        return seconds * 1000 + microseconds // 1000

    assert to_ms(before) <= reply[0] <= to_ms(after)


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_key_of_a_wrong_type_charges_nothing(transport, make_cache):
    send = make_cache(transport).database.send
    send(Batch([("FLUSHDB",)]))
    charges = build_charges(
        [
            parse_policy("s", {"rate": "5/m"}),
            parse_policy("b", {"rate": "5/m", "algorithm": "token_bucket"}),
        ],
        1,
    )
    send(Batch([("SET", charges[1].key_prefix, b"not a hash")]))
    (reply,) = send(build_batch(charges))
    assert isinstance(reply, ReplyError)
    assert read_all(send) == {charges[1].key_prefix: b"not a hash"}


@pytest.mark.parametrize(
    ("algorithm", "charged", "denied"),
    [("strict", 3, 2), ("fixed", 3, 2), ("sliding", 3, 2), ("token_bucket", 4, 2)],
)
def test_a_check_is_billed_as_the_script_counts(algorithm, charged, denied, make_cache, emulator):
    send = make_cache("rest").database.send
    charges = build_charges([parse_policy("p", {"rate": "1/d", "algorithm": algorithm})], 1)
    command = build_eval(charges)
    script = command[1]
    for billed in (charged, denied):
        with emulator.count() as spent:
            (reply,) = send(Batch((command,), needs_server=True))
        assert spent.billed == billed
        assert 1 + script.count_billed(command, reply) == billed


def test_three_policies_cost_one_read_and_a_write_each(make_cache, emulator):
    send = make_cache("rest").database.send
    charges = build_charges([parse_policy(name, {"rate": "9/d"}) for name in "abc"], 1)
    with emulator.count() as spent:
        send(build_batch(charges))
    assert (spent.billed, spent.requests) == (5, 1)
