"""SYNC: read your own writes, with the header Upstash-Sync-Token."""

from __future__ import annotations

import pytest

from tests.service.catalogue import UPSTASH, assume
from tests.service.expectations import matching

HEADER = "upstash-sync-token"


def is_newer(token: str, other: str) -> bool:
    return (len(token), token) > (len(other), other)


@assume(
    "SYNC-001",
    documented="redis/howto/readyourwrites",
    affects="A request may not see its own writes on a database with replicas.",
    commands=4,
    profiles=UPSTASH,
)
@pytest.mark.parametrize("target_path", ["/", "/pipeline", "/multi-exec"])
def test_each_response_has_a_token(rest, key, target_path):
    """A response has the header Upstash-Sync-Token, also if the request had none."""
    command = ["SET", key, "1", "PX", "60000"]
    document = command if target_path == "/" else [command]
    assert rest.post_json(target_path, document).headers.get(HEADER) == matching(".+")


@assume(
    "SYNC-002",
    documented="redis/howto/readyourwrites",
    affects="A request may not see its own writes on a database with replicas.",
    commands=2,
    profiles=UPSTASH,
)
def test_a_read_with_the_token_of_a_write_sees_it(rest, key):
    """A read that carries the token of a write returns what was written."""
    token = rest.post_json("/", ["SET", key, "new", "PX", "60000"]).headers[HEADER]
    response = rest.post_json("/", ["GET", key], Upstash_Sync_Token=token)
    assert response.json == {"result": "new"}


@assume(
    "SYNC-003",
    seen_in="upstash/redis-js packages/redis/pkg/read-your-writes.test.ts",
    affects="A read after a write may be sent with the token of before.",
    commands=5,
    profiles=UPSTASH,
)
def test_a_write_changes_the_token(rest, key):
    """A write changes the token, one by a script included."""
    first = rest.post_json("/", ["SET", key, "1", "PX", "60000"]).headers[HEADER]
    second = rest.post_json("/", ["SET", key, "2", "PX", "60000"]).headers[HEADER]
    script = "return redis.call('SET', KEYS[1], '3', 'PX', '60000')"
    third = rest.post_json("/", ["EVAL", script, "1", key]).headers[HEADER]
    assert len({first, second, third}) == 3


@assume(
    "SYNC-004",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="A token may be replaced by an older one, when responses arrive out of order.",
    commands=4,
    profiles=UPSTASH,
)
def test_tokens_are_counters_in_base_32(rest, key):
    """A token is a counter in base 32, `[0-9a-v]+`, and a later write has a greater one."""
    tokens = [
        rest.post_json("/", ["SET", key, number, "PX", "60000"]).headers[HEADER]
        for number in range(4)
    ]
    assert tokens == [matching("[0-9a-v]+$")] * 4
    assert all(map(is_newer, tokens[1:], tokens))


@assume(
    "SYNC-005",
    seen_in="upstash/redis-py upstash_redis/http.py (sends an empty header first)",
    affects="Only SDKs, and the emulator: this package sends no empty token.",
    commands=1,
    profiles=UPSTASH,
)
def test_an_empty_token_is_accepted(rest, key):
    """An empty Upstash-Sync-Token is accepted."""
    assert rest.post_json("/", ["GET", key], Upstash_Sync_Token="").json == {"result": None}


@assume(
    "SYNC-006",
    unproven="no page says what happens after a failover or a restored backup",
    affects="Requests fail until the token is forgotten, 60 s at the most.",
    commands=1,
    profiles=UPSTASH,
)
def test_a_token_from_the_past_is_accepted(rest, key):
    """A token that the database gave out long ago, or another database, is accepted."""
    assert rest.post_json("/", ["GET", key], Upstash_Sync_Token="1").json == {"result": None}
