"""SERIALIZER = "json", and what @upstash/redis for JavaScript reads and writes."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.ext_types import LazyType
from continuum_upstash.errors import NotSerializable

json_codec = Codec(serializer="json", pickle_keys=(b"never used to write",))


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (5, b"5"),
        (-(2**70), b"-1180591620717411303424"),
        (1.0, b"1.0"),
        (-0.0, b"-0.0"),
        (1e22, b"1e+22"),
        (True, b"true"),
        (None, b"null"),
        ("", b'""'),
        ("abc", b'"abc"'),
        ("123", b'"123"'),  # JS would decode 123 without quotes as a number
        ("true", b'"true"'),
        ("é", '"é"'.encode()),
        ({"a": [1, "é", None]}, '{"a":[1,"é",null]}'.encode()),
    ],
    ids=repr,
)
def test_json_is_compact(value, stored):
    assert json_codec.encode(value) == stored
    for codec in (json_codec, Codec()):
        back = codec.decode(stored)
        assert (type(back), repr(back)) == (type(value), repr(value))


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        [(1, 2)],
        {1, 2},
        b"bytes",
        {1: "int key"},
        {"a": {None: 1}},
        {True: 1},
        float("nan"),
        [float("inf")],
        date(2026, 1, 2),
        Decimal(1),
        OrderedDict(a=1),
        Name("subclass"),
        {Name("subclass"): 1},
        "\ud800",
        ["\ud83d\ude00"],
        10**641,
        [10**641],
        pytest.param(object(), id="object()"),
    ],
    ids=repr,
)
def test_a_value_that_json_would_change_is_rejected(value):
    with pytest.raises(NotSerializable, match=r"JSON exactly.*\"SERIALIZER\"\] = \"msgpack\""):
        json_codec.encode(value)


def test_a_lazy_object_whose_value_json_lacks_is_rejected():
    class Later:
        pass

    codec = Codec(serializer="json", ext=(LazyType(Later, lambda _: (1, 2)),))
    with pytest.raises(NotSerializable, match="JSON has no tuple"):
        codec.encode([Later()])


def test_cycles_and_deep_nesting_are_rejected():
    cycle = {}
    cycle["self"] = cycle
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(NotSerializable):
            json_codec.encode(value)
    while deep:  # freeing it at once would recurse
        deep = deep.pop()


def test_json_is_compressed_if_configured():
    codec = Codec(serializer="json", compress_min_bytes=100)
    data = codec.encode(["x"] * 100)
    assert data[:1] == b"\x01"
    assert codec.decode(data) == ["x"] * 100


@pytest.mark.parametrize(
    ("javascript", "stored", "value"),
    [
        ("{a: 1}", b'{"a":1}', {"a": 1}),
        ("[1, 2]", b"[1,2]", [1, 2]),
        ('"abc"', b"abc", "abc"),
        ('""', b"", ""),
        ("1", b"1", 1),
        ("-1.5", b"-1.5", -1.5),
        ("1e21", b"1e+21", 1e21),
        ("1e-7", b"1e-7", 1e-7),
        ("true", b"true", True),
        ("null", b"null", None),
        ('"01"', b"01", "01"),
        ('"1e3"', b"1e3", "1e3"),
        ('"1.10"', b"1.10", "1.10"),
        ('"101600000000150081467"', b"101600000000150081467", 101600000000150081467),
        ("new Date(0)", b'"1970-01-01T00:00:00.000Z"', "1970-01-01T00:00:00.000Z"),
        ('"héllo"', "héllo".encode(), "héllo"),
        ('"[draft] title"', b"[draft] title", "[draft] title"),
        ('"{{ name }}"', b"{{ name }}", "{{ name }}"),
        ('"not found"', b"not found", "not found"),
        ('"5 apples"', b"5 apples", "5 apples"),
        ('"-v"', b"-v", "-v"),
        ('"\\"quoted\\" word"', b'"quoted" word', '"quoted" word'),
    ],
)
def test_a_value_that_javascript_stored(javascript, stored, value):
    back = Codec().decode(stored)
    assert (type(back), back) == (type(value), value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
@settings(deadline=None)
def test_every_value_that_json_can_represent_round_trips(value):
    data = json_codec.encode(value)
    assert repr(json_codec.decode(data)) == repr(value)
    assert repr(Codec().decode(data)) == repr(value)
