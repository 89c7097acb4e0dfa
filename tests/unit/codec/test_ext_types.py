"""Additional types: extensions and lazy types."""

from __future__ import annotations

import pytest

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.ext_types import ExtType, LazyType
from continuum_upstash.errors import NotSerializable


class Meters(float):
    pass


METERS = ExtType(40, Meters, lambda meters: str(float(meters)).encode(), Meters)


def test_an_additional_type_round_trips():
    codec = Codec(ext=(METERS,))
    back = codec.decode(codec.encode({Meters(5): (Meters(6),)}))
    assert back == {5.0: (6.0,)}
    assert {type(key) for key in back} == {Meters}
    assert type(back[5.0][0]) is Meters


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, OverflowError, KeyError, FileNotFoundError]
)
def test_an_error_in_the_read_function_of_a_type_makes_a_value_undecodable(error):
    def read(_payload):
        raise error

    with pytest.raises(DecodeError, match=error.__name__):
        Codec(ext=(ExtType(40, Meters, METERS.write, read),)).decode(b"\xd4\x28\0")


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_a_lazy_object_is_stored_as_its_value(serializer):
    class Later:
        pass

    codec = Codec(serializer=serializer, ext=(LazyType(Later, lambda _: "now"),))
    assert codec.decode(codec.encode([Later(), {"a": Later()}])) == ["now", {"a": "now"}]
    assert codec.decode(codec.encode(Later())) == "now"


def test_the_value_of_a_lazy_object_may_be_an_extension_or_lazy():
    class Later:
        def __init__(self, result):
            self.result = result

    codec = Codec(ext=(LazyType(Later, lambda later: later.result),))
    assert codec.decode(codec.encode(Later(Later((1, Later(2)))))) == (1, 2)


def test_a_lazy_object_without_a_value_is_rejected():
    class Never:
        pass

    codec = Codec(ext=(LazyType(Never, lambda never: never),))
    with pytest.raises(NotSerializable, match="Never"):
        codec.encode(Never())
