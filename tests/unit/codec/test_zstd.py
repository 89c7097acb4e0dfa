from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.codec.zstd import compress, decompress


@given(st.binary(min_size=1, max_size=500), st.integers(2, 50))
@settings(deadline=None)
def test_decompressing_restores_what_was_compressed(unit, times):
    data = unit * times
    frame = compress(data)
    if frame is not None:
        assert len(frame) <= 0.9 * len(data)
        assert decompress(frame, len(data)) == data


def test_data_that_hardly_shrinks_is_not_compressed():
    assert compress(os.urandom(10_000)) is None


def test_the_limit_is_exact():
    frame = compress(b"x" * 5000)
    assert decompress(frame, 5000) == b"x" * 5000
    with pytest.raises(ValueError, match="5000 bytes decompressed, the limit is 4999"):
        decompress(frame, 4999)


def test_a_frame_without_its_size_is_rejected():
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 5000)
    with pytest.raises(ValueError, match="without its size"):
        decompress(frame, 10_000)


@pytest.mark.parametrize("claimed", [0, 4999, 5001, 2**32 - 1])
def test_a_frame_with_a_wrong_size_is_rejected(claimed):
    frame = compress(b"x" * 5000)
    true_size = (5000 - 256).to_bytes(2, "little")  # RFC 8878, 3.1.1.1.4: two bytes hold size - 256
    assert frame[5:7] == true_size
    if claimed >= 256:
        lie = frame[:4] + b"\xa0" + claimed.to_bytes(4, "little") + frame[7:]
    else:
        lie = frame[:4] + b"\x20" + bytes([claimed]) + frame[7:]
    with pytest.raises(ValueError):
        decompress(lie, 10_000)


@pytest.mark.parametrize(
    "damage", [lambda f: f[:-1], lambda f: f + b"\0", lambda f: b"", lambda f: b"\0" * 9]
)
def test_damage_is_a_value_error(damage):
    with pytest.raises(ValueError):
        decompress(damage(compress(b"x" * 5000)), 10_000)


def test_each_thread_has_its_own_contexts():
    blocks = [os.urandom(50) * 400 for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            assert list(threads.map(lambda b: decompress(compress(b), 20_000), blocks)) == blocks
