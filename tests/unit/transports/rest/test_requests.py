"""Batches as requests of the REST API."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.errors import NotSerializable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.rest.dialect import RestDialect
from continuum_upstash.transports.rest.requests import Request, encode_request

BINARY = b"\x80\x01\xff"
LARGE = b"x" * 10_000
BASE64 = SignedBase64((b"a key",))
BASE64_BINARY = BASE64.encode(BINARY)


def encode_one(*command) -> Request:
    return encode_request(Batch([command]), BASE64, RestDialect())


def json_arguments(request: Request) -> list:
    return json.loads(request.body)


def test_a_command_of_text_is_a_json_array():
    request = encode_one("GET", ':1:clé\n"x"')
    assert (request.kind, request.target) == ("command", "/")
    assert json_arguments(request) == ["GET", ':1:clé\n"x"']


def test_numbers_are_sent_as_exact_text():
    assert json_arguments(encode_one("INCRBY", "n", 2**60 + 1)) == ["INCRBY", "n", str(2**60 + 1)]


@pytest.mark.parametrize("value", [b"", b"42", "grüße".encode(), b'{"a": 1}', b"~YQ=="])
def test_a_short_text_value_is_sent_as_json(value):
    request = encode_one("SET", "k", value, "PX", 100, "NX")
    assert json_arguments(request) == ["SET", "k", value.decode(), "PX", "100", "NX"]


@pytest.mark.parametrize("value", [BINARY, LARGE])
@pytest.mark.parametrize(
    ("command", "target"),
    [
        (("SET", "k"), "/SET/k"),
        (("SET", ":1:user:7"), "/SET/%3A1%3Auser%3A7"),
        (("SET", ":1:a b@c%?&#+é"), "/SET/%3A1%3Aa%20b%40c%25%3F%26%23%2B%C3%A9"),
        (("set", "k"), "/set/k"),
        (("GETSET", "k"), "/GETSET/k"),
        (("PSETEX", "k", 100), "/PSETEX/k/100"),
        (("HSET", "k", "field"), "/HSET/k/field"),
        (("EVAL", Script("return 1", len), 1, "k"), "/EVAL/"),
    ],
)
def test_a_binary_or_large_value_is_the_body(command, target, value):
    request = encode_one(*command, value)
    assert request.kind == "value"
    assert request.target.startswith(target)
    assert request.body == value


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ((), {}),
        (("PX", 1000), {"PX": "1000"}),
        (("px", 1000), {"PX": "1000"}),
        (("EXAT", 1_900_000_000), {"EXAT": "1900000000"}),
    ],
)
def test_the_expiry_of_set_is_the_query(options, query):
    request = encode_one("SET", "k", BINARY, *options)
    assert request.kind == "value"
    assert dict(parse_qsl(urlsplit(request.target).query)) == query


@pytest.mark.parametrize(
    "options",
    [
        ("GET",),
        ("NX",),
        ("PX", 5, "XX"),
        ("KEEPTTL",),
        ("NX", "GET"),
        ("XX", "KEEPTTL"),
        ("PX", 5, "GET"),
        ("IFEQ", "x"),
        ("IFEQ", "x", "KEEPTTL"),
        ("WHAT", 1),
        ("PX",),
        ("a\r\nb: c", 1),
    ],
)
def test_options_that_cannot_be_a_query_are_sent_as_json_with_an_encoded_value(options):
    request = encode_one("SET", "k", BINARY, *options)
    assert request.kind == "command"
    assert json_arguments(request)[2] == BASE64_BINARY
    assert json_arguments(request)[3:] == [str(option) for option in options]


def test_a_large_text_with_a_flag_is_json():
    assert encode_one("SET", "k", LARGE, "XX").kind == "command"
    assert encode_one("SET", "k", LARGE, "PX", 5).kind == "value"


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "a//b", "/a", "a/", "k" * 5000, "é" * 1000])
def test_a_key_that_a_server_may_normalize_is_sent_as_json_with_an_encoded_value(key):
    request = encode_one("SET", key, BINARY)
    assert request.kind == "command"
    assert json_arguments(request) == ["SET", key, BASE64_BINARY]


def test_two_binary_values_in_one_command_are_encoded():
    request = encode_one("MSET", "a", BINARY, "b", BINARY)
    assert request.kind == "command"
    assert json_arguments(request) == ["MSET", "a", BASE64_BINARY, "b", BASE64_BINARY]


def test_without_a_secret_a_binary_value_is_sent_alone_only():
    unsigned = SignedBase64()
    assert encode_request(Batch([("SET", "k", BINARY)]), unsigned, RestDialect()).body == BINARY
    with pytest.raises(NotSerializable, match="no secret to sign its text with"):
        encode_request(Batch([("SET", "k", BINARY), ("PING",)]), unsigned, RestDialect())


@pytest.mark.parametrize(("atomic", "target"), [(False, "/pipeline"), (True, "/multi-exec")])
def test_several_commands_are_one_array_of_arrays(atomic, target):
    commands = [("SET", "k", BINARY), ("SET", "k", b"text"), ("GET", "k")]
    request = encode_request(Batch(commands, atomic=atomic), BASE64, RestDialect())
    assert (request.kind, request.target) == ("batch", target)
    assert json_arguments(request) == [
        ["SET", "k", BASE64_BINARY],
        ["SET", "k", "text"],
        ["GET", "k"],
    ]


def test_a_script_is_sent_with_the_key_locking_flag():
    assert json_arguments(encode_one("EVAL", Script("return 1", len), 0))[1].startswith(
        "#!lua flags=allow-key"
    )


@pytest.mark.parametrize(
    "command",
    [("GET", "\ud800"), ("SET", "\ud800", b"v"), ("SET", "\ud800", BINARY), ("X", "\udfff", "y")],
)
def test_a_lone_surrogate_is_an_error_and_never_replaced(command):
    with pytest.raises(NotSerializable, match="lone surrogate"):
        encode_one(*command)
    with pytest.raises(NotSerializable, match="lone surrogate"):
        encode_request(Batch([command, ("PING",)]), BASE64, RestDialect())


def test_a_server_without_bodies_as_values_gets_json():
    dialect = RestDialect()
    dialect.value_in_body = False
    request = encode_request(Batch([("SET", "k", BINARY)]), BASE64, dialect)
    assert (request.kind, json_arguments(request)) == ("command", ["SET", "k", BASE64_BINARY])


def test_a_server_without_resp2_is_sent_requests_for_base64():
    dialect = RestDialect()
    dialect.resp2 = False
    assert encode_request(Batch([("GET", "k")]), BASE64, dialect).kind == "encoded"


def test_a_server_without_key_locking_gets_scripts_without_the_flag():
    dialect = RestDialect()
    dialect.key_locking = False
    request = encode_request(Batch([("EVAL", Script("return 1", len), 0)]), BASE64, dialect)
    assert json_arguments(request) == ["EVAL", "return 1", "0"]


def decode_as_documented(request: Request) -> list[bytes]:
    """Return the command that a server reads from a request, by the documentation alone."""
    if request.kind == "command":
        return [word.encode() for word in json.loads(request.body)]
    path, _, query = request.target.partition("?")
    arguments = [unquote_to_bytes(part) for part in path.split("/")[1:]] + [request.body]
    for pair in filter(None, query.split("&")):
        arguments += [unquote_to_bytes(part) for part in pair.split("=")]
    return arguments


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(key=texts, value=st.binary(), px=st.none() | st.integers(1, 10**12))
def test_every_key_and_value_is_unchanged_or_encoded(key, value, px):
    options = () if px is None else ("PX", px)
    command, name, stored, *rest = decode_as_documented(encode_one("SET", key, value, *options))
    assert (command, name) == (b"SET", key.encode())
    assert rest == [str(option).encode() for option in options]
    assert stored in {value, BASE64.encode(value).encode()}
