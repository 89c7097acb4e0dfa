"""The cost of each operation: billed commands (counted by the emulator) and HTTP requests."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from continuum_upstash.cache import early
from tests.conftest import SyncOrAsync
from tests.python_calls import count_calls_until_send, count_python_calls

MANY = {f"k{i}": i for i in range(20)}


def increment_twice(cache):
    cache.incr("n")


@pytest.mark.parametrize(
    ("operation", "billed", "requests"),
    [
        (lambda cache: cache.get("n"), 1, 1),
        (lambda cache: cache.get("missing"), 1, 1),
        (lambda cache: cache.set("k", "value", 60), 1, 1),
        (lambda cache: cache.set("k", "value", None), 1, 1),
        (lambda cache: cache.set("k", "value", 0), 1, 1),
        (lambda cache: cache.add("k", {"a": 1}, 60), 1, 1),
        (lambda cache: cache.add("n", {"a": 1}, 60), 1, 1),
        (lambda cache: cache.touch("n", 60), 1, 1),
        (lambda cache: cache.touch("n", None), 1, 1),
        (lambda cache: cache.touch("persistent", None), 2, 2),
        (lambda cache: cache.delete("n"), 1, 1),
        (lambda cache: cache.has_key("n"), 1, 1),
        (lambda cache: cache.incr("n"), 3, 1),
        (lambda cache: cache.decr("n", 2), 3, 1),
        (lambda cache: cache.incr_version("n"), 1, 1),
        (lambda cache: cache.get_many(MANY), 1, 1),
        (lambda cache: cache.set_many(MANY, 60), 20, 1),
        (lambda cache: cache.set_many(MANY, None), 1, 1),
        (lambda cache: cache.set_many(MANY, 0), 1, 1),
        (lambda cache: cache.delete_many(MANY), 1, 1),
        (lambda cache: cache.get_many([]), 0, 0),
        (lambda cache: cache.set_many({}), 0, 0),
        (lambda cache: cache.delete_many([]), 0, 0),
        (lambda cache: cache.get_or_set("n", 5), 1, 1),
        (lambda cache: cache.get_or_set("k", lambda: 5, 60), 2, 2),
        (lambda cache: cache.ttl("n"), 1, 1),
        (lambda cache: cache.pttl("n"), 1, 1),
        (lambda cache: cache.expire_time("n"), 1, 1),
        (lambda cache: cache.persist("n"), 1, 1),
        (lambda cache: cache.expire("n", 5), 1, 1),
        (lambda cache: cache.expire_at("n", 4_000_000_000), 1, 1),
        (lambda cache: cache.keys("*"), 1, 1),
        (lambda cache: cache.delete_pattern("n*"), 2, 2),
        (lambda cache: cache.clear(), 2, 2),
        (lambda cache: cache.flush_all(), 1, 1),
    ],
)
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_the_cost_of_an_operation(
    operation, billed, requests, transport, api, make_cache, emulator, request
):
    cache = make_cache(transport)
    cache.set("n", 41, 300)
    cache.set("persistent", 1, None)
    called = SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)
    called.has_key("warm-up")
    with emulator.count() as spent:
        operation(called)
    assert spent.billed == billed
    assert spent.requests == (requests if transport == "rest" else 0)


@pytest.fixture
def fast(monkeypatch):
    """A loaded machine is not slow: get_or_set reads no value again."""
    monkeypatch.setattr(early, "_SLOW", 60)


PAGE = Path(__file__).parents[3] / "docs/reference/billing.md"
ROWS = re.findall(r"^\| `(.+)` \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)


def test_the_page_on_billing_has_a_table():
    assert len(ROWS) > 20


@pytest.mark.parametrize(("call", "billed", "requests"), ROWS)
def test_the_costs_on_the_page_on_billing(call, billed, requests, make_cache, emulator, fast):
    cache = make_cache("rest")
    cache.set("n", 41, 300)
    cache.set("persistent", 1, None)
    cache.set("tagged", 1, 300, tags=["a"])
    cache.get_or_set("old", 1, 0.001, grace=300)
    with emulator.count() as spent:
        exec(call, {"cache": cache, "values": MANY})
    assert (spent.billed, spent.requests) == (int(billed), int(requests))


@pytest.mark.parametrize(
    ("operation", "billed"),
    [
        (lambda cache: cache.get_or_set("n", 5, early=True, grace=60, wait=1), (1, 1)),
        (lambda cache: cache.get_or_set("tagged", 5, tags=["a", "b"], grace=60), (1, 1)),
        (lambda cache: cache.get_or_set("k", lambda: 5, 60, early=True, grace=60), (4, 6)),
        (lambda cache: cache.get_or_set("k", 5, 60, wait=1, tags=["a", "b"]), (4, 6)),
        (lambda cache: cache.get_or_set("k", 5, 60, wait=1, tags=["a", "new"]), (5, 7)),
        (lambda cache: cache.get_or_set("k", 5, 60, tags=["a", "b"]), (2, 2)),
        (lambda cache: cache.get_or_set("old", 5, 60, grace=60), (4, 6)),
        (lambda cache: cache.get_or_set("old", lambda: 1 // 0, 60, grace=60), (3, 3)),
        (lambda cache: cache.get_or_set("leased", 5, 60, grace=60), (1, 1)),
        (lambda cache: cache.get_or_set("missing-leased", 5, 60, wait=0), (2, 2)),
        (lambda cache: cache.get("tagged"), (2, 2)),
        (lambda cache: cache.get_many(["tagged", "n", "old"]), (2, 2)),
        (lambda cache: cache.get_or_set("tagged", 5), (2, 2)),
        (lambda cache: cache.set("k", 5, 60, tags=["a", "b"]), (2, 2)),
        (lambda cache: cache.set("k", 5, 60, tags=["a", "new"]), (3, 3)),
        (lambda cache: cache.delete_tags("a", "b"), (1, 1)),
    ],
)
@pytest.mark.parametrize(("transport", "at"), [("rest", 0), ("tcp", 1)])
def test_the_cost_of_stampede_protection_and_tags(
    operation, billed, transport, at, api, make_cache, emulator, request, fast
):
    cache = make_cache(transport)
    cache.set("n", 41, 300)
    cache.set("tagged", 1, 300, tags=["a", "b"])
    for key in ("old", "leased"):
        cache.get_or_set(key, 1, 0.001, grace=300)
    for key in ("leased", "missing-leased"):
        cache.client.set(f"continuum:lease:{cache.make_key(key)}", "x", ttl=30)
    called = SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)
    called.has_key("warm-up")
    with emulator.count() as spent:
        operation(called)
    assert spent.billed == billed[at]  # over TCP, this server is not known to have DELEX


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_the_cost_of_a_lock_on_plain_redis_and_upstash(transport, make_cache, emulator):
    cache = make_cache(transport)
    cache.has_key("warm-up")
    with emulator.count() as spent, cache.lock("report"):
        pass
    # SET NX, then DELEX on Upstash or a script of two commands on other servers.
    assert spent.billed == (2 if transport == "rest" else 4)


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_clearing_3000_keys_takes_a_scan_and_an_unlink_per_thousand(
    transport, make_cache, emulator
):
    cache = make_cache(transport)
    other = make_cache(transport, KEY_PREFIX="other")
    other.set("stays", 1)
    cache.set_many({f"k{i}": i for i in range(3000)}, None)
    with emulator.count() as spent:
        cache.clear()
    assert spent.billed <= 2 * 4 + 1
    assert cache.keys() == []
    assert other.get("stays") == 1


@pytest.mark.parametrize(("transport", "maximum"), [("rest", 31), ("tcp", 27)])
def test_a_get_makes_few_python_calls_before_it_sends(transport, maximum, make_cache):
    cache = make_cache(transport)
    cache.get("warm-up")
    with count_calls_until_send() as calls_at_send:
        cache.get("n")
    assert calls_at_send[0] <= maximum


@pytest.mark.parametrize(("transport", "maximum"), [("rest", 41), ("tcp", 33)])
def test_a_lone_aget_makes_few_python_calls_before_it_sends(transport, maximum, make_cache):
    async def count_calls():
        await cache.aget("warm-up")
        with count_calls_until_send() as calls_at_send:
            await cache.aget("n")
        return calls_at_send

    cache = make_cache(transport)
    assert asyncio.run(count_calls())[0] <= maximum


@pytest.mark.parametrize(
    ("transport", "operation", "maximum"),
    [
        ("rest", lambda cache, values: cache.set_many(values, 60), 5),
        ("rest", lambda cache, values: cache.get_many(values), 2),
        ("tcp", lambda cache, values: cache.set_many(values, 60), 3),
        ("tcp", lambda cache, values: cache.get_many(values), 2),
        ("local", lambda cache, values: cache.set_many(values, 60), 10),
        ("local", lambda cache, values: cache.get_many(values), 3),
    ],
)
def test_a_key_of_many_makes_few_python_calls(transport, operation, maximum, make_cache):
    cache = make_cache(transport)
    values = {f"k{number}": f"value {number}" for number in range(200)}
    calls = []
    for count in (100, 200):
        some = dict(list(values.items())[:count])
        operation(cache, some)
        calls.append(count_python_calls(operation, cache, some))
    assert round((calls[1] - calls[0]) / 100) <= maximum
