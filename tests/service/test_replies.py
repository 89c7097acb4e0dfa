"""REPLY: how a response carries the replies to commands.

The reply to a single command is read as RESP2, those to several commands as JSON with base64.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.service.catalogue import UPSTASH, assume
from tests.service.expectations import ErrorReply, error, one_of
from tests.service.resp2 import Status, decode
from tests.service.rest_client import RestClient, read_entry

NOT_UTF8 = b"\xff\x00\xfe"


def call_resp2(rest: RestClient, *words: str) -> Any:
    response = rest.post_json("/", list(words), Upstash_Response_Format="resp2")
    reply, end = decode(response.body)
    assert end == len(response.body)
    return reply


def call_base64(rest: RestClient, *commands: list[str], target: str = "/pipeline") -> list[Any]:
    return rest.post_json(target, list(commands), Upstash_Encoding="base64").json


def store_bytes(rest: RestClient, key: str) -> None:
    script = "return redis.call('SET', KEYS[1], '\\255\\0\\254', 'PX', '60000')"
    assert rest.call("EVAL", script, "1", key) == "OK"


@assume(
    "REPLY-001",
    documented="redis/features/restapi",
    affects="Every single command over REST: its reply is read as JSON, and bytes are lost.",
    commands=2,
    profiles=UPSTASH,
)
def test_resp2_is_the_reply_of_redis(rest, key):
    """Upstash-Response-Format: resp2 returns RESP2: `+OK` for a status, `$5` for a bulk string."""
    assert call_resp2(rest, "SET", key, "value", "PX", "60000") == Status("OK")
    response = rest.post_json("/", ["GET", key], Upstash_Response_Format="resp2")
    assert response.body == b"$5\r\nvalue\r\n"


@assume(
    "REPLY-002",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="A miss is read as an outage: Unavailable from every cache.get that misses.",
    commands=1,
    profiles=UPSTASH,
)
def test_resp2_of_nil(rest, key):
    """In RESP2, nil is `$-1` or `*-1`."""
    response = rest.post_json("/", ["GET", key], Upstash_Response_Format="resp2")
    assert response.body == one_of(b"$-1\r\n", b"*-1\r\n")


@assume(
    "REPLY-003",
    documented="redis/features/restapi",
    affects="Values that are not UTF-8 come back changed: they cannot be decoded, a miss.",
    commands=4,
    profiles=UPSTASH,
)
def test_resp2_is_exact_for_bytes(rest, key):
    """In RESP2, a value has exactly the bytes that are stored."""
    store_bytes(rest, key)
    assert call_resp2(rest, "GET", key) == NOT_UTF8


@assume(
    "REPLY-004",
    documented="redis/features/restapi",
    affects="MGET, SCAN, scripts: replies cannot be read.",
    commands=4,
    profiles=UPSTASH,
)
def test_resp2_of_integers_and_arrays(rest, key):
    """In RESP2, integers and nested arrays have the form of Redis."""
    assert call_resp2(rest, "EXISTS", key) == 0
    assert call_resp2(rest, "MGET", key, key) == [None, None]
    script = "return {1, {'a', {2}}, false}"
    assert call_resp2(rest, "EVAL", script, "0") == [1, [b"a", [2]], None]


@assume(
    "REPLY-005",
    unproven="the documentation shows no error under resp2",
    affects="Errors of single commands are read as outages: the circuit breaker opens.",
    commands=1,
    profiles=UPSTASH,
)
def test_resp2_of_an_error_is_resp2_or_json(rest, key):
    """The error of a command with resp2 is `-ERR …`, or the JSON object of an error."""
    response = rest.post_json("/", ["GET", key, "surplus"], Upstash_Response_Format="resp2")
    is_json = response.body.startswith(b"{")
    reply = read_entry(response.json) if is_json else decode(response.body)[0]
    assert reply == error("ERR wrong number of arguments")


@assume(
    "REPLY-006",
    documented="redis/features/restapi",
    affects="Nothing: the client reads the body, not the status.",
    commands=1,
)
def test_the_error_of_a_single_command_has_status_400(rest, key):
    """The error of a single command is a JSON object with the key `error` and HTTP 400."""
    response = rest.post_json("/", ["GET", key, "surplus"])
    assert (response.status, list(response.json)) == (400, ["error"])


@assume(
    "REPLY-007",
    documented="redis/features/restapi",
    affects="Every pipeline and coalesced async command: values cannot be read.",
    commands=3,
    profiles=UPSTASH,
)
def test_base64_encodes_strings_at_every_depth(rest, key):
    """With Upstash-Encoding: base64, strings are base64 at every depth; OK is not."""
    replies = call_base64(
        rest, ["SET", key, "value", "PX", "60000"], ["GET", key], ["MGET", key, key]
    )
    value = b64encode(b"value").decode()
    assert replies == [{"result": "OK"}, {"result": value}, {"result": [value, value]}]


@assume(
    "REPLY-008",
    documented="redis/features/restapi",
    affects="Values that are not UTF-8 come back changed from pipelines and coalesced commands.",
    commands=4,
    profiles=UPSTASH,
)
def test_base64_is_exact_for_bytes(rest, key):
    """With base64, a value has exactly the bytes that are stored."""
    store_bytes(rest, key)
    assert call_base64(rest, ["GET", key]) == [{"result": b64encode(NOT_UTF8).decode()}]


@assume(
    "REPLY-009",
    seen_in="hiett/serverless-redis-http issue 7",
    affects="The text of an error in a pipeline is unreadable, and its class is wrong.",
    commands=2,
)
def test_base64_leaves_errors_as_they_are(rest, key):
    """With base64, the text of an error is not encoded."""
    (entry,) = call_base64(rest, ["GET", key, "surplus"])
    assert read_entry(entry) == error("ERR wrong number of arguments")


@assume(
    "REPLY-010",
    seen_in="upstash/redis-js packages/redis/pkg/http.ts",
    affects="Counters, misses and expiry times from pipelines cannot be read.",
    commands=3,
)
def test_base64_leaves_integers_and_nil_as_they_are(rest, key):
    """With base64, integers are JSON numbers and nil is null."""
    replies = call_base64(rest, ["INCR", key], ["MGET", key + "missing"], ["PTTL", key])
    assert replies == [{"result": 1}, {"result": [None]}, {"result": -1}]


@assume(
    "REPLY-011",
    seen_in="upstash/redis-js packages/redis/CHANGELOG.md 1.40.0",
    affects="A script in a pipeline that returns a status: its text is wrong.",
    commands=2,
    profiles=UPSTASH,
)
def test_base64_of_a_nested_ok(rest, key):
    """With base64, a status OK inside an array is bare, or base64."""
    script = "return {redis.call('SET', KEYS[1], '1', 'PX', '60000')}"
    ((nested,),) = (entry["result"] for entry in call_base64(rest, ["EVAL", script, "1", key]))
    assert nested == one_of("OK", b64encode(b"OK").decode())


@assume(
    "REPLY-012",
    seen_in="volter-ai/twin-packs-open (numbers), Coriou/up-redis (text)",
    affects="Counters beyond 2^53 are rounded in pipelines.",
    commands=2,
)
def test_integers_beyond_2_53_are_exact(rest, key):
    """An integer reply beyond 2^53 is an exact JSON number, or text."""
    assert rest.call("SET", key, "9007199254740992", "PX", "60000") == "OK"
    ((result,),) = (entry.values() for entry in call_base64(rest, ["INCR", key]))
    assert int(result) == 9007199254740993


@assume(
    "REPLY-013",
    documented="redis/features/restapi",
    affects="Only clients without base64 and resp2, and the emulator.",
    commands=3,
    profiles=UPSTASH,
)
def test_plain_json_replaces_bytes_that_are_not_utf8(rest, key):
    """Without base64, bytes that are not UTF-8 are replaced by U+FFFD."""
    script = "return redis.call('SET', KEYS[1], '\\226\\130', 'PX', '60000')"
    assert rest.call("EVAL", script, "1", key) == "OK"
    assert rest.call("GET", key) == one_of("\ufffd", "\ufffd\ufffd")


@assume(
    "REPLY-014",
    documented="redis/commands/string/incrbyfloat",
    affects="client.redis: floats of the SDK's commands.",
    commands=3,
)
def test_floats_are_text(rest, key):
    """Floating-point replies are text: INCRBYFLOAT, ZSCORE."""
    assert rest.call("INCRBYFLOAT", key, "1.5") == "1.5"
    assert rest.call("DEL", key) == 1
    assert rest.call("ZSCORE", key, "member") is None


@assume(
    "REPLY-015",
    seen_in="upstash/redis-js packages/redis/pkg/commands/hgetall.ts",
    affects="Shared statistics and the panel: the hashes cannot be read.",
    commands=2,
)
def test_maps_are_flat_arrays(rest, key):
    """The reply to HGETALL is an array of fields and values in turn."""
    assert rest.call("HSET", key, "field", "value") == 1
    assert rest.call("HGETALL", key) == ["field", "value"]


@assume(
    "REPLY-016",
    documented="redis/commands/string/set",
    affects="add() and locks: a condition that is not met looks like an error.",
    commands=2,
)
def test_an_unmet_condition_is_null(rest, key):
    """SET with NX on an existing key returns null."""
    assert rest.call("SET", key, "1", "PX", "60000") == "OK"
    assert rest.call("SET", key, "2", "NX") is None


@assume(
    "REPLY-017",
    documented="redis/features/restapi",
    affects="Requests whose error is not read: failed writes are reported as stored.",
    commands=1,
)
def test_an_entry_has_a_result_or_an_error(rest, key):
    """A JSON reply is an object with the key `result`, or the key `error`, and no other."""
    document = rest.post_json("/", ["GET", key]).json
    assert document == {"result": None}
    assert not isinstance(read_entry(document), ErrorReply)
