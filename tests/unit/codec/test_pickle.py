"""Values that msgpack cannot encode: a signed pickle, or an error."""

from __future__ import annotations

import hmac
import pickle
import sys
from collections import OrderedDict
from datetime import datetime, time, timedelta, timezone, tzinfo
from enum import IntEnum
from threading import Lock
from typing import NamedTuple

import pytest

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.errors import ConfigurationError, NotSerializable

KEY = b"a key for the tests, 32 bytes at least"


class Point(NamedTuple):
    x: int
    y: int


class Size(IntEnum):
    LARGE = 3


class Money:
    def __init__(self, amount):
        self.amount = amount

    def __eq__(self, other):
        return type(other) is Money and other.amount == self.amount

    def __repr__(self):
        return f"Money({self.amount})"

    __hash__ = None


@pytest.mark.parametrize(
    "value",
    [
        Money(5),
        [{"price": Money(5)}],
        Size.LARGE,
        Point(1, 2),
        OrderedDict(a=1),
        bytearray(b"x"),
        [(1, {"k": bytearray(b"x" * 300)})],
        range(3),
        1j,
        time(1, tzinfo=timezone(timedelta(microseconds=1))),
    ],
    ids=repr,
)
def test_a_value_that_msgpack_would_change_becomes_a_signed_pickle(value):
    codec = Codec(pickle_keys=(KEY,))
    data = codec.encode(value)
    back = codec.decode(data)
    assert data[:1] == b"\x02"
    assert (type(back), back) == (type(value), value)


class Elsewhere(tzinfo):
    def utcoffset(self, _when):
        return timedelta(hours=9)


def test_a_tzinfo_of_another_library_is_pickled():
    codec = Codec(pickle_keys=(KEY,))
    moment = datetime(2026, 1, 2, tzinfo=Elsewhere())
    back = codec.decode(codec.encode([moment]))[0]
    assert (back, type(back.tzinfo)) == (moment, Elsewhere)


def test_a_cycle_is_pickled():
    codec = Codec(pickle_keys=(KEY,))
    cycle = []
    cycle.append(cycle)
    back = codec.decode(codec.encode(cycle))
    assert back[0] is back


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}])
def test_the_greatest_depth_that_is_encoded_can_be_decoded(wrap):
    value = None
    for _ in range(1024):
        value = wrap(value)
    data = Codec().encode(value)
    assert Codec().encode(Codec().decode(data)) == data
    with pytest.raises(NotSerializable, match="recursion"):
        Codec().encode(wrap(value))


def test_deep_nesting_is_rejected_even_with_pickle():
    value = None
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotSerializable):
        Codec(pickle_keys=(KEY,)).encode(value)
    while value:  # freeing it at once would recurse
        value = value.pop()


@pytest.mark.parametrize("value", [Money(5), Size.LARGE, [bytearray(b"x")]], ids=repr)
def test_without_keys_no_pickle_is_written(value):
    with pytest.raises(NotSerializable):
        Codec().encode(value)


def test_the_error_names_the_type_and_what_to_do():
    with pytest.raises(
        NotSerializable, match=r"A dict cannot be stored.*a .*\.Money.*\"PICKLE\"\] = \"signed\""
    ):
        Codec().encode({"a": [Money(5)]})


@pytest.mark.parametrize(
    "value",
    [lambda: 1, Lock(), (n for n in "ab"), memoryview(b"x"), {(memoryview(b"x"),): 1}],
)
def test_a_value_that_cannot_be_pickled_is_rejected(value):
    with pytest.raises(NotSerializable, match="cannot be stored"):
        Codec(pickle_keys=(KEY,)).encode([value])


def test_an_error_in_the_values_own_code_is_raised():
    class DatabaseIsElsewhere(Exception):
        pass

    class Lazy:
        def __reduce__(self):
            raise DatabaseIsElsewhere

    with pytest.raises(DatabaseIsElsewhere):
        Codec(pickle_keys=(KEY,)).encode(Lazy())


class TestSignature:
    codec = Codec(pickle_keys=(KEY,))
    data = codec.encode(Money(5))

    @pytest.mark.parametrize("position", [1, 16, 32, 33, -1])
    def test_a_changed_byte_anywhere_makes_it_undecodable(self, position):
        data = bytearray(self.data)
        data[position] ^= 1
        with pytest.raises(DecodeError, match="BadSignature"):
            self.codec.decode(bytes(data))

    @pytest.mark.parametrize("length", range(1, 40, 6))
    def test_a_truncated_value_is_undecodable(self, length):
        with pytest.raises(DecodeError, match="BadSignature"):
            self.codec.decode(self.data[:length])

    def test_the_key_is_derived_for_this_purpose_only(self):
        key = hmac.digest(KEY, b"continuum_upstash.pickle", "sha256")
        payload = pickle.dumps(Money(5), 5)
        assert self.data == b"\x02" + hmac.digest(key, payload, "sha256") + payload

    def test_a_former_key_still_verifies_and_the_first_signs(self):
        rotated = Codec(pickle_keys=(b"the new key", KEY))
        assert rotated.decode(self.data) == Money(5)
        with pytest.raises(DecodeError):
            self.codec.decode(rotated.encode(Money(5)))

    def test_a_key_that_is_no_longer_listed_does_not_verify(self):
        with pytest.raises(DecodeError):
            Codec(pickle_keys=(b"the new key",)).decode(self.data)

    def test_without_keys_it_is_not_loaded(self):
        with pytest.raises(DecodeError):
            Codec().decode(self.data)

    def test_in_base64_it_is_undecodable_rather_than_text(self):
        base64 = SignedBase64((b"another key",))
        with pytest.raises(DecodeError):
            Codec(base64=base64).decode(base64.encode(self.data).encode())

    def test_an_empty_key_is_rejected(self):
        with pytest.raises(ConfigurationError, match="SECRET_KEY"):
            Codec(pickle_keys=(KEY, b""))

    def test_an_object_whose_class_was_removed_is_undecodable(self, monkeypatch):
        monkeypatch.delattr(sys.modules[__name__], "Money")
        with pytest.raises(DecodeError):
            self.codec.decode(self.data)


class Unhelpful(Exception):
    pass


class RaisesOnLoad:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _raise, (self.error,)


def _raise(error):
    raise error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret"),
        ZeroDivisionError("secret"),
        KeyError("secret"),
        Unhelpful("secret"),
        AssertionError("secret"),
        StopIteration("secret"),
        MemoryError("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v] * 500], ids=["alone", "compressed"])
def test_an_object_whose_class_raises_any_error_is_undecodable(error, wrap):
    codec = Codec(pickle_keys=(KEY,), compress_min_bytes=500)
    data = codec.encode(wrap(RaisesOnLoad(error)))
    with pytest.raises(DecodeError, match=rf"UnpickleError \({type(error).__name__}\)$"):
        codec.decode(data)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_while_a_pickle_is_loaded_is_raised(error):
    codec = Codec(pickle_keys=(KEY,))
    data = codec.encode(RaisesOnLoad(error()))
    with pytest.raises(error):
        codec.decode(data)
