from __future__ import annotations

import pytest

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.client.client_plans import ClientPlans
from continuum_upstash.client.pipeline import Pipeline
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.timeouts import DEFAULT_TTL, Timeouts
from tests.tracebacks import find_secrets, iter_frames
from tests.unit.plan_runner import codec, run_plan

TIMEOUTS = Timeouts(None, [("query:", 5), ("query:slow:", 60), ("fixed:", None)])
plans = ClientPlans(KeyValuePlans(codec, alias="test"), TIMEOUTS)


@pytest.mark.parametrize(
    ("key", "ttl", "expiry"),
    [
        ("query:a", DEFAULT_TTL, ("PX", 5_000)),
        ("query:slow:a", DEFAULT_TTL, ("PX", 60_000)),
        ("fixed:a", DEFAULT_TTL, ()),
        ("other", DEFAULT_TTL, ()),
        ("query:a", None, ()),
        ("query:a", 1.5, ("PX", 1_500)),
    ],
)
def test_the_prefix_sets_the_ttl_of_keys_that_are_set_without_one(key, ttl, expiry):
    stored = ("SET", key, b"7", *expiry)
    assert run_plan(plans.set(key, 7, ttl), [b"OK"])[1] == [[stored]]
    assert run_plan(plans.add(key, 7, ttl), [b"OK"])[1] == [[(*stored, "NX")]]
    _, sent = run_plan(plans.get_or_set(key, 7, ttl), [None], [b"OK"])
    assert sent[1] == [(*stored, "NX")]
    assert run_plan(plans.set_many({key: 7}, ttl), [b"OK"])[1] == [[stored]]
    pipeline = Pipeline(None, plans).set(key, 7, ex=ttl)
    assert run_plan(pipeline._execute(raise_on_error=True), [b"OK"])[1] == [[stored]]


def test_set_many_sends_one_request_for_each_ttl():
    values = {"query:a": 1, "x": 2, "query:b": 3, "y": 4}
    result, sent = run_plan(plans.set_many(values, DEFAULT_TTL), [b"OK", b"OK"], [b"OK"])
    assert result == []
    assert sent == [
        [("SET", "query:a", b"1", "PX", 5_000), ("SET", "query:b", b"3", "PX", 5_000)],
        [("MSET", "x", b"2", "y", b"4")],
    ]


@pytest.mark.parametrize("ex", [0, -1])
def test_an_expired_ttl_in_a_pipeline_is_one_that_redis_accepts(ex):
    pipeline = Pipeline(None, plans).set("k", 7, ex=ex)
    _, sent = run_plan(pipeline._execute(raise_on_error=True), [b"OK"])
    assert sent == [[("SET", "k", b"7", "PX", 1)]]


def test_a_pipeline_rejects_what_the_server_would_reject():
    with pytest.raises(ValueError, match="nx and xx"):
        Pipeline(None, plans).set("k", 7, nx=True, xx=True)
    with pytest.raises(ValueError, match="at least one key"):
        Pipeline(None, plans).delete()


def test_a_value_over_the_limit_is_not_sent_in_a_pipeline_and_deletes_the_old_value():
    small = ClientPlans(KeyValuePlans(codec, alias="test", max_value_bytes=10), TIMEOUTS)
    pipeline = Pipeline(None, small).set("a", "x" * 20).get("a").set("b", "x" * 20, nx=True)
    result, sent = run_plan(pipeline._execute(raise_on_error=True), [1, None, 0])
    assert result == [False, None, False]
    assert sent == [[("UNLINK", "a"), ("GET", "a"), ("EXISTS", "b")]]


@pytest.mark.parametrize("client", [UpstashCache, AsyncUpstashCache])
@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("ttl_by_prefixes", {}, "ttl_by_prefix"),
        ("clear", "flushdb", ""),
        ("pickle", "never", "pickle_keys"),
        ("serializer", "json", ""),
        ("connection_pool_kwargs", {"max_connections": 5}, ""),
        ("TTL_BY_PREFIX", {}, "ttl_by_prefix"),
    ],
)
def test_an_option_that_a_client_does_not_have_is_rejected(client, option, value, hint):
    with pytest.raises(ConfigurationError, match=f"{option} is not an option.*{hint}"):
        client(mode="local", **{option: value})


@pytest.mark.parametrize("client", [UpstashCache, AsyncUpstashCache])
@pytest.mark.parametrize(
    "arguments",
    [
        {"rest_url": "https://db.example", "read_timeout": -1},
        {"rest_url": "https://db.example", "nonsense": 1},
        {"rest_url": "https://db.example", "pickle_keys": [b"s3cret-token", b""]},
        {"redis_url": "redis://:s3cret-token@db.example:x", "pickle_keys": [b"s3cret-token"]},
    ],
)
def test_the_traceback_of_a_wrong_argument_shows_no_secret(client, arguments):
    with pytest.raises(ConfigurationError) as raised:
        client(rest_token="s3cret-token", **arguments)
    assert find_secrets(raised.value, "s3cret-token") == []
    assert f"<{client.__name__}>" in [
        repr(f.f_locals.get("self")) for f in iter_frames(raised.value)
    ]
