"""Every stored value is decoded to the same value and the same types."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.text import SignedBase64

plain = Codec()
full = Codec(pickle_keys=(b"some key",), compress_min_bytes=64)
base64 = SignedBase64((b"some key",))


def exact(value):
    """Distinguish what == does not: True and 1, 0.0 and -0.0, fold, time zones, NaNs, order."""
    kind = type(value).__qualname__
    if isinstance(value, dict):
        return kind, [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, map(exact, value)))
    if isinstance(value, (list, tuple)):
        return kind, [exact(item) for item in value]
    return kind, repr(value)


@st.composite
def fixed_offsets(draw):
    offset = timedelta(seconds=draw(st.integers(-86_399, 86_399)))
    return timezone(offset, *draw(st.lists(st.text(st.characters()), max_size=1)))


zones = st.none() | st.just(UTC) | fixed_offsets() | st.timezones()
any_text = st.text(st.characters())  # lone surrogates too
moments = st.datetimes(timezones=zones, allow_imaginary=True) | st.times(timezones=zones)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | any_text
    | st.binary()
    | moments
    | st.builds(lambda moment: moment.replace(fold=1), moments)
    | st.dates()
    | st.timedeltas()
    | st.decimals().filter(lambda number: not number.is_snan())  # has no hash
    | st.uuids()
)
hashable = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.sets(hashable, max_size=5)
        | st.dictionaries(hashable, inner, max_size=5)
    ),
    max_leaves=12,
)


@given(values)
@settings(deadline=None, max_examples=300)
def test_every_value_round_trips_with_its_types(value):
    for codec in (plain, full):
        data = codec.encode(value)
        assert exact(codec.decode(data)) == exact(value)
        assert exact(full.decode(base64.encode(data).encode())) == exact(value)


@given(values)
@settings(deadline=None)
def test_stored_msgpack_is_never_valid_utf8(value):
    data = plain.encode(value)
    if data[0] >= 0x80:
        with pytest.raises(UnicodeDecodeError):
            data.decode()


@given(st.text(min_size=1).filter(lambda text: text[0] > "\x7f"))
@settings(deadline=None)
def test_text_in_any_script_stays_text(text):
    assert plain.decode(text.encode()) == text


@given(st.integers(120, 40_000), st.sampled_from(["x", b"x", "é", [7], (7,), ["x"]]))
@settings(deadline=None, max_examples=60)
def test_values_of_any_length_round_trip(length, unit):
    assert plain.decode(plain.encode(unit * length)) == unit * length


@given(st.integers())
@settings(deadline=None)
def test_an_int_is_stored_as_its_digits(number):
    assert plain.encode(number) == str(number).encode()
