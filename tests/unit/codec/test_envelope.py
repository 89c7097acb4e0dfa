from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.envelope import (
    ENVELOPE,
    MAX_TAG_BYTES,
    MAX_TAGS,
    TOKEN_BYTES,
    Envelope,
    pack_envelope,
    unpack_envelope,
)

codec = Codec(signing_keys=(b"secret",))
TOKEN = b"0123456789ab"

tags = st.text(min_size=1).filter(
    lambda tag: tag.isprintable() and len(tag.encode()) <= MAX_TAG_BYTES
)
tokens = st.dictionaries(
    tags, st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES), max_size=MAX_TAGS
)
envelopes = st.builds(
    Envelope,
    st.binary().filter(lambda content: not content.startswith((ENVELOPE, b"~"))),
    st.integers(0, 2**53),
    st.integers(0, 2**32 - 1),
    tokens,
)


@given(envelopes)
def test_any_envelope_is_read_back_as_it_was_written(envelope):
    packed = pack_envelope(envelope)
    assert unpack_envelope(packed) == envelope
    assert codec.read_envelope(packed) == envelope


@given(envelopes)
def test_an_envelope_that_was_sent_as_base64_is_read(envelope):
    text = codec._base64.encode(pack_envelope(envelope)).encode()
    assert codec.read_envelope(text) == envelope


@given(st.binary(), st.booleans())
def test_hostile_bytes_are_an_envelope_or_rejected(data, is_envelope):
    data = ENVELOPE + data if is_envelope else data
    try:
        envelope = codec.read_envelope(data)
    except DecodeError:
        return
    assert len(envelope.tokens) <= MAX_TAGS
    if is_envelope:
        assert pack_envelope(envelope) == data


@given(envelopes, st.integers(min_value=1), st.binary(max_size=3))
def test_a_changed_envelope_is_another_envelope_or_rejected(envelope, at, change):
    packed = pack_envelope(envelope)
    at = 1 + at % len(packed)
    changed = packed[:at] + change + packed[at + len(change) :]
    with suppress(ValueError):
        assert pack_envelope(unpack_envelope(changed)) == changed


PACKED = pack_envelope(Envelope(b"5", 99, 7, {"a:b": TOKEN, "a:c": TOKEN}))


def test_the_bytes_of_an_envelope():
    assert (
        b"\x04" + (99).to_bytes(8, "big") + (7).to_bytes(4, "big") + b"\x02"
        b"\x03a:b0123456789ab\x03a:c0123456789ab5"
    ) == PACKED


@pytest.mark.parametrize(
    "data",
    [
        ENVELOPE,
        PACKED[:13],
        PACKED[:20],
        PACKED[:-4],
        PACKED.replace(b"\x03a:c", b"\x00"),
        PACKED.replace(b"a:c", b"a:b"),  # a tag twice
        PACKED.replace(b"a:c", b"a\xff\xfe"),
        PACKED[:-1] + PACKED,  # nested
        PACKED[:-1] + b"~text",
        PACKED[:13] + b"\xff" + PACKED[14:],  # more tags than it has
        ENVELOPE + b"\xff" * 12 + b"\0" + b"5",  # after the end of time
    ],
)
def test_an_invalid_envelope_is_rejected(data):
    with pytest.raises(DecodeError, match="0x04: "):
        codec.read_envelope(data)


def test_an_envelope_with_a_wrong_signature_is_rejected():
    text = Codec(signing_keys=(b"other",))._base64.encode(PACKED).encode()
    with pytest.raises(DecodeError):
        codec.read_envelope(text)


@pytest.mark.parametrize("data", [b"", b"5", b"~/.profile", b"\x01", b"\xc0"])
def test_ordinary_bytes_get_an_envelope_without_a_time_and_tags(data):
    assert codec.read_envelope(data) == Envelope(data)


def test_decode_rejects_an_envelope():
    with pytest.raises(DecodeError):
        codec.decode(PACKED)
    with pytest.raises(DecodeError):
        codec.decode(codec._base64.encode(PACKED).encode())


def test_times_and_costs_that_are_too_large_are_limited():
    envelope = unpack_envelope(pack_envelope(Envelope(b"5", 2**60, 2**40)))
    assert (envelope.fresh_until_ms, envelope.compute_ms) == (2**53, 2**32 - 1)
