"""Untrusted bytes are a value or a DecodeError, with limited memory and time."""

from __future__ import annotations

import pickle
from base64 import b64encode
from contextlib import suppress

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.codec.zstd import compress

base64 = SignedBase64((b"some key",))
codec = Codec(pickle_keys=(b"some key",), compress_min_bytes=64)

TAG = {"tuple": b"\xc7\x00\x01", "set": b"\xc7\x00\x02", "frozenset": b"\xc7\x00\x03"}


def ext(code, payload):
    return msgpack.packb(msgpack.ExtType(code, payload))


def frame(content):
    return b"\x01" + compress(content)


def holds_only_values(value):
    if isinstance(value, dict):
        return all(map(holds_only_values, [*value, *value.values()]))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(holds_only_values, value))
    return not isinstance(value, type)


leads = st.sampled_from([bytes([lead]) for lead in b'\x01\x02\x03~{["tfn-019\x80\x91\xc7\xd9\xdd'])
packed = st.recursive(
    st.sampled_from(
        [*TAG.values(), b"\xc8\0\0\x01", b"\x01", b"\xc0", b"\xa1a", b"\x93", b"\x82", b"\x80"]
    )
    | st.builds(ext, st.integers(0, 40), st.binary(max_size=40))
    | st.builds(ext, st.integers(10, 16), st.from_regex(r"[-0-9T:+. ZaN/]{0,30}").map(str.encode)),
    lambda inner: (
        st.lists(inner, max_size=6).map(lambda items: bytes([0x90 + len(items)]) + b"".join(items))
        | st.lists(inner, max_size=3).map(
            lambda items: bytes([0x80 + len(items) // 2]) + b"".join(items)
        )
    ),
)
hostile = (
    st.binary()
    | st.builds(bytes.__add__, leads, st.binary())
    | packed
    | packed.map(lambda data: b"~" + b64encode(data))
    | packed.map(lambda data: base64.encode(data).encode())
    | st.binary(min_size=200).map(lambda data: b"\x01" + (compress(data * 9) or b""))
)


@given(hostile)
@settings(deadline=None, max_examples=1000)
def test_any_bytes_are_a_value_or_undecodable(data):
    try:
        value = codec.decode(data)
    except DecodeError:
        return
    assert holds_only_values(value)


@pytest.mark.parametrize("kind", TAG)
@pytest.mark.parametrize(
    "around",
    [
        lambda tag: tag,
        lambda tag: b"\x92\x01" + tag,
        lambda tag: b"\x93" + tag + tag + b"\x01",
        lambda tag: b"\x81" + tag + b"\x01",
        lambda tag: b"\x81\xa1a" + tag,
        lambda tag: b"\x92" + tag + b"\x92\x01" + tag,
        lambda tag: b"\x92\x91" + tag + b"\x92\xd4" + tag[-1:] + b"\0\x01",
        lambda tag: b"\x91\xc8\0\0" + tag[-1:],  # a tag, but not as it is encoded
    ],
    ids=[
        "bare",
        "not first",
        "twice",
        "a key",
        "a dict's value",
        "astray inside",
        "with a payload",
        "long form",
    ],
)
def test_a_container_tag_outside_an_array_is_undecodable(kind, around):
    with pytest.raises(DecodeError):
        codec.decode(around(TAG[kind]))


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x03anything",
        b"\x7f",
        b"a\xff",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\x92\x01",
        b"\xc0\xc0",
        b"\x92" + TAG["set"] + b"\x90",
        b"\x81\x90\x01",
        ext(99, b"x"),
        *(ext(code, b"\xff") for code in (11, 12, 13, 15, 16)),
        ext(11, b"2026-02-30T00:00:00"),
        ext(11, b"2026-01-02T00:00:00 2"),
        ext(11, b"2026-01-02T00:00:00 0 Nowhere/Land"),
        ext(11, b"2026-01-02T00:00:00 0 ../../etc/passwd"),
        ext(11, b"2026-01-02T00:00:00 0 America"),
        ext(11, b"2026-01-02T00:00:00 0 \0"),
        ext(14, b"\x7f" * 40),
        ext(15, b"1e9999999999999999999"),
        b"\x01",
        b"\x01not zstd",
        frame(b"x" * 200)[:-1],
        frame(b"x" * 200) + b"!",
        b"\x01" + zstandard.compress(frame(b"x" * 200)),
        b"\x01" + zstandard.compress(base64.encode(frame(b"x" * 200)).encode()),
        base64.encode(b"\x01not zstd").encode(),
        base64.encode(b"~~").encode(),
        base64.encode(b"\xc1").encode(),
        pickle.dumps({"from": "another cache backend"}),
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\x91" * 200_000,
        b"\x92" + TAG["tuple"] + b"\x91" * 200_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_damaged_or_foreign_bytes_are_undecodable(data):
    with pytest.raises(DecodeError) as raised:
        codec.decode(data)
    assert "some" not in str(raised.value)
    assert len(str(raised.value)) < 100


LOADED = []


class Exploit:
    def __reduce__(self):
        return LOADED.append, ("loaded",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("before", [b"", b"\x02", b"\x02" + bytes(32)], ids=["bare", "2", "2+tag"])
def test_an_unsigned_pickle_is_never_loaded(protocol, before):
    data = before + pickle.dumps(Exploit(), protocol)
    wrapped_in_base64 = base64.encode(data).encode()
    for wrapped in (data, wrapped_in_base64, b"\x01" + (compress(data * 50) or b"")):
        with suppress(DecodeError):
            codec.decode(wrapped)
    assert LOADED == []
