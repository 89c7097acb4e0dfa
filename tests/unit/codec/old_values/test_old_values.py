"""Values that other backends have stored, as recorded in stored_values.json."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import zlib
from importlib.util import find_spec
from pathlib import Path

import msgpack
import pytest

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.old_values.old_value_codec import OldValueCodec, OldValues
from continuum_upstash.config.old_values import validate_old_values
from continuum_upstash.errors import ConfigurationError
from tests.unit.codec.old_values.write_corpus import PYTHON_VALUES, VALUES

RECORDED = json.loads(Path(__file__).with_name("stored_values.json").read_text())
CASES = [
    (package, serializer, compressor)
    for package, serializers in RECORDED.items()
    for serializer, compressors in serializers.items()
    for compressor in compressors
]
OWN_VALUES = [*VALUES.values(), *PYTHON_VALUES.values(), "", "x\x9c", "(text", "~/.profile", 2**70]


def make_codec(serializer, compressor):
    names = validate_old_values(
        {"SERIALIZER": serializer, "COMPRESSOR": compressor, "TRUST_PICKLES": True}
    )
    return OldValueCodec(OldValues(*names), pickle_keys=(b"key",), compress_min_bytes=200)


def skip_without(compressor):
    for module in ("lz4", "brotli"):
        if module in compressor.lower() and find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize(("package", "serializer", "compressor"), CASES)
def test_each_value_of_another_backend_is_read(package, serializer, compressor):
    skip_without(compressor)
    codec = make_codec(serializer, compressor)
    values = VALUES | PYTHON_VALUES
    stored = RECORDED[package][serializer][compressor]
    assert stored.keys() >= VALUES.keys()
    for name, text in stored.items():
        found = codec.decode(base64.b64decode(text))
        assert (type(found), found) == (type(values[name]), values[name]), name


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack"])
@pytest.mark.parametrize(
    "compressor", ["identity", "zlib", "gzip", "lzma", "bz2", "lz4", "zstd", "brotli"]
)
def test_the_values_of_this_package_are_read_as_before(serializer, compressor):
    skip_without(compressor)
    codec = make_codec(serializer, compressor)
    for value in OWN_VALUES:
        stored = codec.encode(value)
        assert stored == Codec(pickle_keys=(b"key",), compress_min_bytes=200).encode(value)
        assert codec.decode(stored) == value
    for other in (b"bare text", b'{"from": "JavaScript"}', b"x", b"(", "ключ".encode()):
        if serializer != "msgpack" or other[0] < 0x80:
            assert codec.decode(other) == Codec().decode(other)


def test_unsigned_pickles_are_not_loaded_without_the_option():
    for package, serializer, compressor in CASES:
        if "pickle" in serializer.lower() and "dentity" in compressor:
            data = base64.b64decode(RECORDED[package][serializer][compressor]["list"])
            for codec in (Codec(pickle_keys=(b"key",)), make_codec("json", "zlib")):
                with pytest.raises(DecodeError):
                    codec.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x05damaged.",
        b"\x80\x04cos\nno_such_function\n.",
        zlib.compress(b"\x80\x05damaged."),
        gzip.compress(b"\xff" * 20)[:-4],
        zlib.compress(bytes(65 * 1024 * 1024)),
        b"\xff" * 20,
        b"\x04\x22\x4d\x18damaged",
    ],
    ids=["pickle", "global", "zlib", "gzip", "enormous", "bytes", "lz4"],
)
@pytest.mark.parametrize("compressor", ["zlib", "gzip", "lzma", "bz2", "zstd"])
def test_damaged_and_enormous_values_are_undecodable(data, compressor):
    with pytest.raises(DecodeError):
        make_codec("pickle", compressor).decode(data)


def test_a_pickle_whose_class_raises_is_undecodable():
    with pytest.raises(DecodeError, match="ZeroDivisionError"):
        make_codec("pickle", "identity").decode(pickle.dumps(Raises()))


class Raises:
    def __reduce__(self):
        return divide, ()


def divide():
    return 1 / 0


def test_msgpack_of_another_package_that_looks_like_text_is_read():
    data = msgpack.packb("é" * 40)
    assert make_codec("msgpack", "identity").decode(data) == "é" * 40


@pytest.mark.parametrize("value", [float("nan"), [1e400, {"a": 1e-7}]])
def test_json_with_infinite_numbers_is_read(value):
    data = json.dumps(value).encode()
    assert repr(make_codec("json", "identity").decode(data)) == repr(value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("pickle", "must be a dict"),
        ({}, "must be a dict"),
        ({"SERIALIZER": "pickle"}, "TRUST_PICKLES"),
        ({"SERIALIZER": "pickle", "TRUST_PICKLES": 1}, "TRUST_PICKLES"),
        ({"SERIALIZER": "yaml"}, "pickle, json, msgpack"),
        ({"SERIALIZER": "json", "COMPRESSOR": "rar"}, "zlib"),
        ({"SERIALISER": "json"}, "SERIALIZER"),
    ],
)
def test_an_invalid_option_is_explained(option, message):
    with pytest.raises(ConfigurationError, match=message):
        validate_old_values(option)


def test_the_classes_of_an_old_entry_can_be_copied():
    assert validate_old_values(
        {
            "SERIALIZER": "django_redis.serializers.msgpack.MSGPackSerializer",
            "COMPRESSOR": "django_redis.compressors.zstd.ZStdCompressor",
        }
    ) == ("msgpack", "zstd")
