"""Stored bytes as text for a pipeline of the REST API: every value is decoded to itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.text import SignedBase64, encode_json_string, is_binary
from continuum_upstash.errors import NotSerializable

BASE64 = SignedBase64((b"the site's key",))
CODEC = Codec(pickle_keys=(b"the site's key",), base64=BASE64, compress_min_bytes=2000)


def store_as_text(value: object) -> bytes:
    """Return what a server stores of a value that is sent as a JSON string."""
    return json.loads(encode_json_string(CODEC.encode(value), BASE64)).encode()


texts = st.text(st.characters(exclude_categories=[]) | st.sampled_from('-7{["tfn~\\\x00\n<é'))
values = st.one_of(
    texts, st.binary(), st.integers(), st.floats(allow_nan=False), st.none(), st.lists(texts)
)


@given(values)
@example("")
@example('"')
@example('"quoted"')
@example("~/.profile")
@example("true")
@example("42")
@example("\x7f")
@example("é" * 70)
@example("\x00" * 300)
@example("x" * 127 + "é")
@example("\ud800")
@example("<p class='a'>" * 3000)
def test_every_value_is_decoded_to_itself(value):
    back = CODEC.decode(store_as_text(value))
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("Hello", b"Hello"),
        ("<p>ü</p>", "<p>ü</p>".encode()),
        ("true story", b'"true story"'),
        ("42", b'"42"'),
        ("~", b'"~"'),
        ("über", '"über"'.encode()),
        ("", b'""'),
        ("n\n", b'"n\\n"'),
        (7, b"7"),
    ],
)
def test_a_str_is_stored_as_text_that_every_client_reads(value, stored):
    assert store_as_text(value) == stored


@given(st.text() | st.text("\x00\x1f\"\\'"))
def test_a_request_is_not_much_longer_than_with_base64(text):
    stored = CODEC.encode(text)
    string = encode_json_string(stored, BASE64)
    assert len(string.encode()) <= len(stored) * 4 / 3 + 80


def test_a_str_needs_no_secret():
    unsigned = SignedBase64()
    assert encode_json_string(CODEC.encode("Hello"), unsigned) == '"Hello"'
    with pytest.raises(NotSerializable):
        encode_json_string(CODEC.encode((1, 2)), unsigned)


@given(st.binary())
@example(b"\xd9\x80" + b"a" * 128)
def test_text_is_never_taken_for_binary(data):
    if is_binary(data):
        with pytest.raises(UnicodeDecodeError):
            data.decode()


@given(texts)
def test_text_that_a_caller_sends_as_bytes_stays_as_it_is(text):
    data = text.encode("utf-8", "replace")
    assert json.loads(encode_json_string(data, BASE64)).encode() == data
