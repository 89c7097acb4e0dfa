"""The stored format of each kind of value, byte by byte."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
from msgpack import Packer

from continuum_upstash.codec.codec import Codec
from continuum_upstash.errors import ConfigurationError


def test_the_import_loads_neither_django_nor_zstd():
    modules = "import sys, continuum_upstash.codec; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", modules], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "continuum_upstash.codec" in out
    assert not {"django", "zstandard", "compression.zstd"} & set(out)


# These bytes are stored in databases: changing them makes values unreadable.
STORED = [
    (0, b"0"),
    (-17, b"-17"),
    (2**64, b"18446744073709551616"),
    (None, b"\xc0"),
    (False, b"\xc2"),
    (True, b"\xc3"),
    (1.5, b"\xcb\x3f\xf8\0\0\0\0\0\0"),
    ("", b"\xa0"),
    ("12", b"\xa212"),
    ("~é", b"\xa3~\xc3\xa9"),
    ("\ud800", b"\xa3\xed\xa0\x80"),
    (b"\0", b"\xc4\x01\0"),
    ([1, "a"], b"\x92\x01\xa1a"),
    ({"a": None, 2: b""}, b"\x82\xa1a\xc0\x02\xc4\0"),
    ((), b"\x91\xc7\0\x01"),
    ((1,), b"\x92\xc7\0\x01\x01"),
    ({1}, b"\x92\xc7\0\x02\x01"),
    (frozenset({1}), b"\x92\xc7\0\x03\x01"),
    ([2**64], b"\x91\xc7\x09\x0a\x01\0\0\0\0\0\0\0\0"),
    (datetime(2026, 1, 2, 3, 4, 5, 6), b"\xc7\x1a\x0b2026-01-02T03:04:05.000006"),  # noqa: DTZ001  # naive on purpose
    (datetime(2026, 1, 2, fold=1), b"\xc7\x15\x0b2026-01-02T00:00:00 1"),  # noqa: DTZ001  # naive on purpose
    (datetime(2026, 1, 2, tzinfo=UTC), b"\xc7\x19\x0b2026-01-02T00:00:00+00:00"),
    (
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2), "Mars")),
        b"\xc7\x20\x0b2026-01-02T00:00:00+02:00 0 Mars",
    ),
    (
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris")),
        b"\xc7\x22\x0b2026-10-25T02:30:00 1 Europe/Paris",
    ),
    (date(2026, 1, 2), b"\xc7\x0a\x0c2026-01-02"),
    (time(1, 2, 3), b"\xd7\x0d01:02:03"),
    (time(1, 2, tzinfo=ZoneInfo("Asia/Tokyo")), b"\xc7\x15\x0d01:02:00 0 Asia/Tokyo"),
    (timedelta(microseconds=-2), b"\xd4\x0e\xfe"),
    (Decimal("-0.10"), b"\xc7\x05\x0f-0.10"),
    (UUID(int=258), b"\xd8\x10" + bytes(14) + b"\x01\x02"),
]


@pytest.mark.parametrize(("value", "stored"), STORED, ids=lambda each: repr(each)[:40])
def test_the_documented_format_of_a_value(value, stored):
    codec = Codec()
    assert codec.encode(value) == stored
    back = codec.decode(stored)
    assert (type(back), repr(back)) == (type(value), repr(value))


@pytest.mark.parametrize("digits", [639, 641, 5_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_int_of_any_length_round_trips(digits, sign):
    value = sign * (10**digits - 1)
    data = Codec().encode(value)
    assert data.lstrip(b"-").isdigit() == (digits < 640)
    assert Codec().decode(data) == value


ASCII_LIKE = [
    0x80000000 | a << 16 | b << 8 | c for a in range(3) for b in range(128) for c in range(128)
]


@pytest.mark.parametrize(
    ("value", "head"),
    [
        (b"x" * 150, b"\xc5\0\x96x"),
        (b"x" * 0x9000, b"\xc6\0\0\x90\0x"),
        ("x" * 150, b"\xda\0\x96x"),
        ("é" * 70, b"\xda\0\x8c\xc3"),
        ("x" * 0x9000, b"\xdb\0\0\x90\0x"),
        (Decimal("1" * 150), b"\xc8\0\x96\x0f1"),
        (Decimal("1" * 0x9000), b"\xc9\0\0\x90\0\x0f1"),
        ([1] * 0x9000, b"\xdd\0\0\x90\0\x01"),
        (dict.fromkeys(ASCII_LIKE[:0x9000], 1), b"\xdf\0\0\x90\0\xce"),
        (-0.0, b"-0.0"),
        (-5e-324, b"-5e-324"),
    ],
    ids=lambda each: repr(each)[:24],
)
def test_msgpack_that_is_valid_utf8_is_stored_differently(value, head):
    shortest = Packer(default=lambda number: msgpack.ExtType(15, str(number).encode()))
    assert shortest.pack(value).decode()  # it is valid UTF-8
    stored = Codec().encode(value)
    assert stored[: len(head)] == head
    back = Codec().decode(stored)
    assert (type(back), repr(back)) == (type(value), repr(value))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", ""),
        (b"hello", "hello"),
        (b"  padded", "  padded"),
        (b"\n{}", "\n{}"),
        ("é".encode(), "é"),
        ("Д".encode(), "Д"),  # as msgpack: the int -108
        ("ʀabc".encode(), "ʀabc"),  # as msgpack: a float
        ("日本".encode(), "日本"),
        ("😀".encode(), "😀"),
        (b"0123", "0123"),
        (b"-", "-"),
        (b"-0", "-0"),
        (b"+1", "+1"),
        (b"1_000", "1_000"),
        (b"1\n", "1\n"),
        ("1٢".encode(), "1٢"),
        (b"9" * 641, "9" * 641),
        (b"1.5", 1.5),
        (b"-0.0", -0.0),
        (b"5e-324", 5e-324),
        (b"1e+400", "1e+400"),
        (b"1.10", "1.10"),
        (b"12e5", "12e5"),
        (b"2026-01-02", "2026-01-02"),
        (b"true", True),
        (b"null", None),
        (b"trueish", "trueish"),
        (b'{"a":[1,2.0,"\\u00e9"]}', {"a": [1, 2.0, "é"]}),
        (b"[1,", "[1,"),
        (b"[NaN]", "[NaN]"),
        (b"[" + b"9" * 641 + b"]", "[" + "9" * 641 + "]"),
        (b"~", "~"),
        (b"~/.profile", "~/.profile"),
        (b"~w A==", "~w A=="),
        (b"~" + b64encode(b"abc"), "~YWJj"),
        (b"~" + b64encode(b"\x93\x01\x02\x03"), "~kwECAw=="),  # msgpack, but not signed
    ],
    ids=repr,
)
def test_values_of_other_clients(data, value):
    back = Codec().decode(data)
    assert (type(back), repr(back)) == (type(value), repr(value))


def test_compression_starts_at_its_threshold():
    codec = Codec(compress_min_bytes=1000)
    assert codec.encode("x" * 990)[:1] == b"\xda"
    data = codec.encode("x" * 1000)
    assert data[:1] == b"\x01"
    assert codec.decode(data) == "x" * 1000
    assert Codec().decode(data) == "x" * 1000


def test_a_signed_pickle_is_compressed():
    codec = Codec(pickle_keys=(b"a key",), compress_min_bytes=100)
    data = codec.encode(bytearray(1000))
    assert data[:1] == b"\x01"
    assert codec.decode(data) == bytearray(1000)


def test_a_value_too_large_to_be_decompressed_is_not_compressed():
    codec = Codec(compress_min_bytes=100, max_decoded_bytes=1000)
    assert codec.encode("x" * 2000)[:1] == b"\xda"
    assert codec.decode(codec.encode("x" * 2000)) == "x" * 2000


def test_an_unknown_serializer_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="must be msgpack or json, not 'yaml'"):
        Codec(serializer="yaml")
