"""zstd, level 1, bounded: the fastest level already saves what is worth saving on cached values."""

from __future__ import annotations

import sys
import threading
from functools import cache

_LEVEL = 1
_WORTHWHILE = 0.9  # a value that does not lose a tenth is not worth inflating at each read


class InvalidFrame(ValueError):
    """Not exactly one whole zstd frame that states its size, one within the limit."""


def compress(data: bytes) -> bytes | None:
    """Return `data` as one zstd frame, or None when that would hardly be smaller."""
    frame = _zstd().compress(data)
    return frame if len(frame) <= len(data) * _WORTHWHILE else None


def decompress(frame: bytes, limit: int) -> bytes:
    """Return what one zstd frame holds, at most `limit` bytes. Raises InvalidFrame."""
    return _zstd().decompress(frame, limit)


if sys.version_info >= (3, 14):

    class _Zstd(threading.local):
        def __init__(self) -> None:
            from compression import zstd  # noqa: PLC0415  # only who compresses pays for it

            self._module = zstd
            self._compressor = zstd.ZstdCompressor(level=_LEVEL)

        def compress(self, data: bytes) -> bytes:
            # Without the size in its header, a frame would be refused by decompress.
            self._compressor.set_pledged_input_size(len(data))
            return self._compressor.compress(data, self._compressor.FLUSH_FRAME)

        def decompress(self, frame: bytes, limit: int) -> bytes:
            zstd = self._module
            try:
                _check_size(zstd.get_frame_info(frame).decompressed_size, limit)
                decompressor = zstd.ZstdDecompressor()
                data = decompressor.decompress(frame, max_length=limit + 1)
            except zstd.ZstdError as damage:
                raise InvalidFrame(str(damage)) from damage
            if not decompressor.eof or decompressor.unused_data:
                raise InvalidFrame("not exactly one zstd frame")
            return data

else:

    class _Zstd(threading.local):
        def __init__(self) -> None:
            import zstandard  # noqa: PLC0415  # only who compresses pays for it

            self._module = zstandard
            self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
            self._decompressor = zstandard.ZstdDecompressor()

        def compress(self, data: bytes) -> bytes:
            return self._compressor.compress(data)

        def decompress(self, frame: bytes, limit: int) -> bytes:
            zstandard = self._module
            try:
                # The header decides how much memory is taken, and whoever wrote it is unknown.
                size = zstandard.frame_content_size(frame)  # -1: not stated
                _check_size(max(size, 0), limit)
                return self._decompressor.decompress(frame, allow_extra_data=False)
            except zstandard.ZstdError as damage:
                raise InvalidFrame(str(damage)) from damage


def _check_size(size: int | None, limit: int) -> None:
    # Nothing empty is ever deflated; zstandard takes a stated 0 for an empty frame unseen.
    if not size:
        raise InvalidFrame("a zstd frame that does not state its size")
    if size > limit:
        raise InvalidFrame(f"{size} bytes decompressed, the limit is {limit}")


@cache
def _zstd() -> _Zstd:
    """One object whose contexts are per thread: a new one costs 15 us, more than most values.

    Made, and zstd imported, on first use.
    """
    return _Zstd()
