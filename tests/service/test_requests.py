"""FORM: how a request carries commands and their arguments.

A single command is JSON in the body of `POST /`, except that a value with bytes that are not UTF-8
is the raw body of `POST /SET/key?PX=…`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.service.catalogue import UPSTASH, assume
from tests.service.expectations import error, matching
from tests.service.resp2 import decode
from tests.service.rest_client import RestClient, read_entry

EVERY_BYTE = bytes(range(256))


def store_body(rest: RestClient, words: list[str], body: bytes, query: str = "?PX=60000") -> Any:
    """Send a command in the path whose last argument is the body; return its result."""
    path = "/" + "/".join(quote(word, safe="") for word in words)
    headers = {"Content-Type": "application/octet-stream"}
    return read_entry(rest.send("POST", path + query, body, headers=headers).json)


def read_bytes(rest: RestClient, key: str) -> Any:
    response = rest.post_json("/", ["GET", key], Upstash_Response_Format="resp2")
    return decode(response.body)[0]


@assume(
    "FORM-001",
    documented="redis/features/restapi",
    affects="Every command over REST.",
    commands=2,
)
def test_a_command_is_a_json_array_in_the_body(rest, key):
    """POST / runs the command whose words are the JSON array in the body."""
    assert rest.call("SET", key, "value", "PX", "60000") == "OK"
    assert rest.call("GET", key) == "value"


@assume(
    "FORM-002",
    documented="redis/features/restapi",
    affects="Only SDKs that send numbers, and the emulator: this package sends text.",
    commands=2,
)
def test_a_json_number_is_an_argument(rest, key):
    """A JSON number is the argument that its text is."""
    assert rest.call("SET", key, 12, "PX", 60000) == "OK"
    assert rest.call("GET", key) == "12"


@assume(
    "FORM-003",
    documented="redis/features/restapi",
    affects="Counters and expiry times beyond 2^53 are rounded.",
    commands=2,
)
def test_a_number_as_text_stays_exact(rest, key):
    """An integer sent as JSON text stays exact beyond 2^53."""
    assert rest.call("SET", key, "9007199254740993", "PX", "60000") == "OK"
    assert rest.call("GET", key) == "9007199254740993"


@assume(
    "FORM-004",
    unproven="no page mentions control characters",
    affects="Text values with such characters come back changed.",
    commands=2,
)
def test_json_text_is_stored_as_utf8(rest, key):
    """JSON text is stored as UTF-8, control characters, U+0000 and emoji included."""
    text = "".join(map(chr, range(128))) + "äß\u2028\ufffd\U0001f600"
    assert rest.call("SET", key, text, "PX", "60000") == "OK"
    assert rest.call("GET", key) == text


@assume(
    "FORM-005",
    documented="redis/features/restapi",
    affects="An empty value cannot be stored.",
    commands=2,
)
def test_empty_text_is_an_argument(rest, key):
    """Empty JSON text is an argument."""
    assert rest.call("SET", key, "", "PX", "60000") == "OK"
    assert rest.call("GET", key) == ""


@assume(
    "FORM-006",
    documented="redis/features/restapi",
    affects="Every cache.set of a value with bytes: it goes as base64 text in JSON from then on.",
    commands=2,
    profiles=UPSTASH,
)
def test_the_body_is_the_last_argument_of_the_path(rest, key):
    """The body of POST /SET/key is the value, and `?PX=60000` follows it: SET key body PX 60000."""
    assert store_body(rest, ["SET", key], EVERY_BYTE) == "OK"
    assert read_bytes(rest, key) == EVERY_BYTE


@assume(
    "FORM-007",
    documented="redis/features/restapi",
    affects="The expiry of a value with bytes is lost: the value stays for ever.",
    commands=2,
    profiles=UPSTASH,
)
def test_the_query_sets_the_expiry_of_a_body(rest, key):
    """`?PX=60000` after a body sets the expiry."""
    assert store_body(rest, ["SET", key], b"\xff\x00") == "OK"
    remaining = rest.call("PTTL", key)
    assert 0 < remaining <= 60_000


@assume(
    "FORM-008",
    seen_in="koala73/worldmonitor PR 2545 (reads by `%3A` what JSON wrote)",
    affects="A value with bytes is written beside the key that GET reads: cache.get misses.",
    commands=2,
    profiles=UPSTASH,
)
def test_an_encoded_colon_names_the_same_key_as_json(rest, key):
    """`%3A` in a path is the colon of a key in JSON."""
    assert ":" in key
    assert store_body(rest, ["SET", key], b"\xff") == "OK"
    assert rest.call("EXISTS", key) == 1


@assume(
    "FORM-009",
    unproven="clients encode keys, but no report reads them back by another form",
    affects="A value with bytes is written beside the key that GET reads: cache.get misses.",
    commands=2,
    profiles=UPSTASH,
)
@pytest.mark.parametrize("suffix", ["a b", "100%", "1+1", "a?b#c&d=e", "ключ", "emoji😀", '"\\'])
def test_encoded_characters_name_the_same_key_as_json(rest, make_key, suffix):
    """A percent-encoded key in a path is the key in JSON, whatever its characters but `/`."""
    key = make_key(suffix)
    assert store_body(rest, ["SET", key], b"\xff") == "OK"
    assert rest.call("EXISTS", key) == 1


@assume(
    "FORM-010",
    unproven="public code sends this form with binary content only for SET and SETNX",
    affects="HSET of a value with bytes by client.redis: it goes as base64 text in JSON instead.",
    commands=2,
    profiles=UPSTASH,
)
def test_the_body_is_the_last_argument_of_other_commands(rest, key):
    """The body of POST /HSET/key/field is the value of the field."""
    assert store_body(rest, ["HSET", key, "field"], b"\xff\x00", query="") == 1
    response = rest.post_json("/", ["HGET", key, "field"], Upstash_Response_Format="resp2")
    assert decode(response.body)[0] == b"\xff\x00"


@assume(
    "FORM-011",
    unproven="the documentation calls the body a JSON or a binary value",
    affects="Values whose first bytes look like JSON or a form are stored changed.",
    commands=2,
    profiles=UPSTASH,
)
@pytest.mark.parametrize("start", [b'["GET","x"]', b'{"a":1}', b"a=1&b=%41", b"", b"\r\n"])
def test_a_body_is_not_interpreted(rest, key, start):
    """The body after a path is stored byte for byte, also if it looks like JSON or a form."""
    body = start + b"\xff\xfe"
    assert store_body(rest, ["SET", key], body) == "OK"
    assert read_bytes(rest, key) == body


@assume(
    "FORM-012",
    documented="redis/troubleshooting/max_request_size_exceeded",
    affects="Large values cannot be stored over REST.",
    commands=2,
    profiles=UPSTASH,
)
def test_a_body_may_have_a_megabyte(rest, key):
    """A body of 1 MB is stored byte for byte; the smallest pricing plan allows 10 MB."""
    body = EVERY_BYTE * 4096
    assert store_body(rest, ["SET", key], body) == "OK"
    assert read_bytes(rest, key) == body


@assume(
    "FORM-013",
    unproven="no limit is published; common proxies allow 8 KB",
    affects="A value with bytes under a long key: it goes as base64 text in JSON instead.",
    commands=2,
    profiles=UPSTASH,
)
def test_a_target_may_have_four_kilobytes(rest, make_key):
    """A request target of 4,000 bytes is accepted."""
    key = make_key("x" * 3800)
    assert store_body(rest, ["SET", key], b"\xff") == "OK"
    assert rest.call("EXISTS", key) == 1


@assume(
    "FORM-014",
    documented="redis/features/restapi",
    affects="client.redis, whose SDK may send names in lower case.",
    commands=2,
)
def test_names_of_commands_may_be_in_lower_case(rest, key):
    """The name of a command and of an option may be in lower case."""
    assert rest.call("set", key, "value", "px", "60000", "nx") == "OK"
    assert rest.call("get", key) == "value"


@assume(
    "FORM-015",
    documented="redis/features/restapi",
    affects="Only the emulator: code that sends commands in the path behaves differently there.",
    commands=2,
    profiles=UPSTASH,
)
def test_a_command_may_be_in_the_path(rest, key):
    """GET /set/key/value/EX/60 runs the command in the path."""
    path = f"/set/{quote(key, safe='')}/value/EX/60"
    assert read_entry(rest.send("GET", path).json) == "OK"
    assert rest.call("GET", key) == "value"


@assume(
    "FORM-016",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="Only the emulator: it refuses a body that the service accepts, or in other words.",
    commands=0,
    profiles=UPSTASH,
)
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "EOF"),
        (b'{"a":1}', "expected JSON array"),
        (b"[]", "ERR empty command"),
        (b'["ECHO",null]', "ERR null args are not supported"),
        (b'["ECHO",["a"]]', "ERR unsupported arg type"),
    ],
    ids=["empty", "object", "no-command", "null", "nested"],
)
def test_a_body_that_is_no_command_returns_400(rest, body, text):
    """A body that is no JSON array of text and numbers returns HTTP 400 and an error."""
    response = rest.send("POST", "/", body, commands=0)
    assert response.status == 400
    assert response.json["error"] == matching(text)


@assume(
    "FORM-017",
    unproven="the documentation gives the status, not the text",
    affects="A refused raw body is not recognized: it is not sent once more as JSON.",
    commands=1,
    profiles=UPSTASH,
)
def test_an_unknown_option_in_the_query_is_a_syntax_error(rest, key):
    """SET with an option in the query that does not exist returns a JSON error."""
    assert store_body(rest, ["SET", key], b"\xff", query="?BOGUS=1") == error("ERR syntax error")
