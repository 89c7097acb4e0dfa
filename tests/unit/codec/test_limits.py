"""Decoding untrusted bytes takes memory and time in proportion to their number."""

from __future__ import annotations

import gc
import time
import tracemalloc
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.limits import estimate_memory, get_memory_limit
from continuum_upstash.codec.standard_types import STANDARD

codec = Codec()
compressing = Codec(compress_min_bytes=100)

SET, FROZENSET, TUPLE = b"\xc7\x00\x02", b"\xc7\x00\x03", b"\xc7\x00\x01"
SECONDS_PER_BYTE = 1e-6
FREE_SECONDS = 0.5
MEMORY_PER_BYTE = 256
FREE_MEMORY = 2 * 1024 * 1024


def array(items):
    return b"\xdd" + len(items).to_bytes(4, "big") + b"".join(items)


def dictionary(keys, value=b"\x01"):
    return b"\xdf" + len(keys).to_bytes(4, "big") + b"".join(key + value for key in keys)


def ext(code, payload):
    return msgpack.packb(msgpack.ExtType(code, payload))


def pack(value):
    """Return a scalar as msgpack."""
    for each in STANDARD:
        if type(value) is each.type and (type(value) is not int or value.bit_length() > 63):
            return ext(each.code, each.write(value))
    return msgpack.packb(value)


def frame(content):
    return b"\x01" + zstandard.compress(content)


def measure_memory(data):
    """Return the peak of memory in bytes that decoding takes."""
    gc.disable()  # a collection of the whole process takes longer than all else here
    tracemalloc.start()
    try:
        with suppress(DecodeError):
            codec.decode(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def assert_little_memory(data):
    for stored in (data, frame(data)):
        assert measure_memory(stored) < FREE_MEMORY + MEMORY_PER_BYTE * len(stored)


def assert_little_time(data):
    for stored, factor in ((data, 1), (frame(data), 10)):
        started = time.thread_time()
        with suppress(DecodeError):
            codec.decode(stored)
        seconds = time.thread_time() - started
        assert seconds < FREE_SECONDS + factor * SECONDS_PER_BYTE * len(stored)


PRIME = 2**61 - 1  # Python's hash of a number is the number modulo this


def chain(count):
    """Return ints without equal hashes that still fill one path through a dict of any size."""
    mask, slot, slots = 2**17 - 1, 0, []
    for _ in range(count // 2):
        slots.append(slot)
        slot = (5 * slot + 1) & mask
    return [*slots, *((index + 1) << 34 for index in range(count - len(slots)))]


COLLIDING = {
    "big ints": [number * PRIME for number in range(1, 3_001)],
    "negative ints": [-number * PRIME for number in range(1, 3_001)],
    "decimals": [Decimal(number * PRIME) for number in range(1, 3_001)],
    "UUIDs": [UUID(int=number * PRIME) for number in range(1, 3_001)],
    "floats": [float(2 ** (61 * (n % 14)) * (2 * n + 1)) for n in range(3_000)],
    "timedeltas": [timedelta(seconds=number) for number in range(3_000)],
    "a chain": chain(20_000),
}


@pytest.mark.parametrize("keys", COLLIDING.values(), ids=COLLIDING)
@pytest.mark.parametrize(
    "form",
    [
        dictionary,
        lambda keys: array([SET, *keys]),
        lambda keys: array([FROZENSET, *keys]),
        lambda keys: array([dictionary(keys)] * 3),
        lambda keys: b"\x92" + TUPLE + dictionary(keys),
        lambda keys: dictionary([b"\x92" + TUPLE + key for key in keys]),
        lambda keys: array([dictionary(keys[at : at + 128]) for at in range(0, len(keys), 128)]),
        lambda keys: array([dictionary(keys[at : at + 200]) for at in range(0, len(keys), 200)]),
    ],
    ids=["dict", "set", "frozenset", "dicts", "in a tuple", "tuples", "by 128", "by 200"],
)
def test_keys_that_collide_take_time_in_proportion_to_their_size(form, keys):
    assert_little_time(form([pack(key) for key in keys]))


def test_the_smallest_known_attack_is_undecodable():
    data = dictionary([pack(number * PRIME) for number in range(1, 60_001)])
    for stored in (data, frame(data)):
        with pytest.raises(DecodeError, match="LimitExceeded"):
            codec.decode(stored)


@pytest.mark.parametrize(
    "keys",
    [
        range(20_000),
        range(-10_000, 10_000),
        range(0, 10**7, 1000),
        range(2**62, 2**62 + 10_000),
        range(0, 2**40, 2**24),
        [str(number) for number in range(10_000)],
        [float(number) for number in range(10_000)],
        [UUID(int=number) for number in range(5_000)],
        [timedelta(minutes=number) for number in range(5_000)],
        [(number, "x") for number in range(5_000)],
    ],
    ids=lambda keys: repr(keys)[:40],
)
def test_large_dicts_and_sets_of_real_keys_round_trip(keys):
    for value in (dict.fromkeys(keys, 1), set(keys), frozenset(keys), [dict.fromkeys(keys, ())]):
        assert codec.decode(codec.encode(value)) == value
        assert compressing.decode(compressing.encode(value)) == value


UNITS = {
    "dict": b"\x80",
    "list": b"\x90",
    "dict of one": b"\x81\x01\x01",
    "list of one": b"\x91\x01",
    "chain of dicts": b"\x81\x01" * 1000 + b"\x80",
    "chain of lists": b"\x91" * 1000 + b"\x80",
    "dict 16": b"\xde\x00\x00",
    "dict 16 of one": b"\xde\x00\x01\x01\x01",
    "dict 32 of one": b"\xdf\x00\x00\x00\x01\x01\x01",
    "dict of 200": b"\xde\x00\xc8" + bytes(200) + b"\x01" * 200,
    "dict of 1000": b"\xdf\x00\x00\x03\xe8" + b"\x02" * 2000,
    "list 16": b"\xdc\x00\x00",
    "set": b"\x91" + SET,
    "set of five": b"\x96" + SET + b"\x01\x02\x03\x04\x05",
    "set of 77": b"\xdc\x00\x4e" + SET + bytes(range(77)),
    "set by a long header": b"\x92\xc8\x00\x00\x02\x91" + TUPLE,
    "tuple": b"\x91" + TUPLE,
    "str": b"\xa2ab",
    "wide str": b"\xa5a\xf0\x9f\x98\x80",
    "bytes": b"\xc4\x02ab",
    "int": b"\xd0\x80",
    "decimal": b"\xd4\x0f1",
    "timedelta": b"\xd4\x0e\x01",
    "zoned time": ext(11, b"2026-01-01T00:00:00+01:00 0 M"),
    "zone": ext(11, b"2026-01-01T00:00:00 0 Europe/Paris"),
    "list that claims more": b"\xdd\x00\x10\x00\x00",
    "list that claims 4096": b"\xdd\x00\x00\x10\x00",
    "list that claims 500": b"\xdc\x01\xf4",
    "dict that claims 256": b"\xdf\x00\x00\x01\x00",
    "dict that claims 4000": b"\xde\x0f\xa0",
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_small_objects_take_memory_in_proportion(unit):
    for size in (500, 50_000):
        assert_little_memory(array([unit] * (size // len(unit))))


@pytest.mark.parametrize(
    "unit",
    [
        b"[],",
        b"{},",
        b'{"":0},',
        b"[0],",
        b'"ab",',
        b"300,",
        b"1.5,",
        b'{"a":{"b":0}},',
        b'"\xc4\x80",',
    ],
)
def test_small_objects_in_json_take_memory_in_proportion(unit):
    for size in (1000, 50_000):
        assert_little_memory(b"[" + unit * (size // len(unit)) + b"0]")


def test_json_of_distinct_keys_takes_memory_in_proportion():
    data = b"{" + b",".join(b'"%x":0' % number for number in range(10_000)) + b"}"
    assert_little_memory(data)


@pytest.mark.parametrize(
    "data",
    [
        b"9" * 100_000,
        b"1." + b"9" * 100_000,
        b"[" + b"9" * 100_000 + b"]",
        b"[1." + b"9" * 100_000 + b"]",
        b"[1e" + b"9" * 100_000 + b"]",
        b"[" + b"1e308," * 100_000 + b"0]",
        b'["' + b"\\u1234" * 100_000 + b'"]',
        b'["' + b"\\ud800" * 100_000 + b'"]',
        b"[" * 100_000,
        b"[" + b" " * 100_000,
        b"~" + b"A" * 100_000,
        b"~" + b"A" * 22 + b"==~" + b"A" * 100_000,
        pack(Decimal("1" * 100_000)),
        pack(Decimal("1e99999999")),
        dictionary([pack(Decimal(f"1e{number}")) for number in range(90_000, 100_000)]),
        pack(2**8_000_000),
        ext(14, b"\x7f" * 100_000),
        ext(11, b"2" * 100_000),
        ext(11, b"2026-01-01 0 " + b"M" * 100_000),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_long_numbers_and_text_take_little_time_and_memory(data):
    assert_little_time(data)
    assert_little_memory(data)


def test_a_value_of_many_zones_does_not_read_each_of_them_again():
    zones = [b"Europe/Paris", b"Asia/Tokyo", b"America/Lima", b"Africa/Cairo", b"Europe/Oslo"]
    zones += [b"Etc/GMT+%d" % hours for hours in range(1, 13)]
    moments = [ext(11, b"2026-01-01T00:00:00 0 " + zone) for zone in zones]
    # Each value of the dict replaces the one before: no zone stays in use.
    data = b"\xdf" + (17 * 300).to_bytes(4, "big") + b"".join(b"\x01" + m for m in moments * 300)
    codec.decode(data)
    assert_little_time(data)


class TestCompression:
    def test_a_frame_that_claims_too_much_is_not_decompressed(self):
        data = frame(bytes(60_000_000))
        assert len(data) < 10_000
        assert measure_memory(data) < get_memory_limit(len(data))
        with pytest.raises(DecodeError):
            codec.decode(data)

    @pytest.mark.parametrize(
        "value",
        ["x" * 5_000_000, [{}] * 500_000, [{"id": 1, "name": "Ann", "tags": []}] * 50_000],
        ids=["text", "dicts", "rows"],
    )
    @pytest.mark.parametrize("serializer", ["msgpack", "json"])
    def test_a_value_that_shrinks_a_lot_is_padded_and_round_trips(self, value, serializer):
        codec = Codec(serializer=serializer, compress_min_bytes=1000)
        plain, stored = Codec(serializer=serializer).encode(value), codec.encode(value)
        assert codec.decode(stored) == value
        assert Codec().decode(stored) == value
        if stored[:1] == b"\x01":
            assert len(stored) < 0.91 * len(plain)
            assert estimate_memory(plain) <= get_memory_limit(len(stored))

    def test_padding_is_a_frame_that_every_zstd_decoder_skips(self):
        stored = Codec(compress_min_bytes=100).encode("x" * 5_000_000)
        assert stored[1:5] == b"\x50\x2a\x4d\x18"
        with zstandard.ZstdDecompressor().stream_reader(
            stored[1:], read_across_frames=True
        ) as reader:
            assert reader.read()[5:] == b"x" * 5_000_000

    def test_text_is_compressed_up_to_50_times(self):
        assert len(Codec(compress_min_bytes=100).encode("x" * 5_000_000)) < 100_000

    def test_a_signed_value_may_shrink_more(self):
        codec = Codec(pickle_keys=(b"a key",), compress_min_bytes=100)
        value = bytearray(5_000_000)
        stored = codec.encode(value)
        assert len(stored) < 50_000
        assert codec.decode(stored) == value

    @given(st.lists(st.sampled_from([*UNITS.values(), b"\x01", b"\xa1a"]), min_size=1, max_size=40))
    @settings(deadline=None, max_examples=15)
    def test_the_estimate_is_an_upper_limit(self, units):
        data = array(units * 50)
        assert measure_memory(data) <= estimate_memory(data) + len(data) + 300_000
