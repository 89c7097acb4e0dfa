"""zstd compression with limits, at the fastest level: higher ones save little on cached values."""

from __future__ import annotations

import sys
import threading
from functools import cache

_LEVEL = 1
_WORTHWHILE = 0.9  # saving less than 10 % is not worth decompressing at each read


# A skippable frame, which every decoder of zstd ignores (RFC 8878, section 3.1.2).
_SKIPPABLE = b"\x50\x2a\x4d\x18"
_SKIPPABLE_HEADER = len(_SKIPPABLE) + 4


class InvalidFrame(ValueError):
    """Not exactly one complete zstd frame with its size, which is within the limit."""


def compress(data: bytes, min_bytes: int = 0) -> bytes | None:
    """Return `data` as one zstd frame, or None if that saves less than 10 %.

    Args:
        data: what to compress.
        min_bytes: a smaller frame is preceded by a skippable frame that pads it to this size.
    """
    frame = _get_zstd().compress(data)
    if len(frame) < min_bytes:
        padding = bytes(max(0, min_bytes - len(frame) - _SKIPPABLE_HEADER))
        frame = _SKIPPABLE + len(padding).to_bytes(4, "little") + padding + frame
    return frame if len(frame) <= len(data) * _WORTHWHILE else None


def decompress(frame: bytes, limit: int) -> bytes:
    """Return the content of one zstd frame, which may follow a skippable frame.

    Raises:
        InvalidFrame: the frame is invalid, or its content exceeds `limit` bytes.
    """
    if frame.startswith(_SKIPPABLE):
        padding = int.from_bytes(frame[len(_SKIPPABLE) : _SKIPPABLE_HEADER], "little")
        frame = frame[_SKIPPABLE_HEADER + padding :]
    return _get_zstd().decompress(frame, limit)


if sys.version_info >= (3, 14):

    class _Zstd(threading.local):
        def __init__(self) -> None:
            from compression import zstd  # noqa: PLC0415  # imported only where values are compressed

            self._module = zstd
            self._compressor = zstd.ZstdCompressor(level=_LEVEL)

        def compress(self, data: bytes) -> bytes:
            # `decompress` rejects a frame without its size in the header.
            self._compressor.set_pledged_input_size(len(data))
            return self._compressor.compress(data, self._compressor.FLUSH_FRAME)

        def decompress(self, frame: bytes, limit: int) -> bytes:
            zstd = self._module
            try:
                _check_size(zstd.get_frame_info(frame).decompressed_size, limit)
                decompressor = zstd.ZstdDecompressor()
                data = decompressor.decompress(frame, max_length=limit + 1)
            except zstd.ZstdError as error:
                raise InvalidFrame(str(error)) from error
            if not decompressor.eof or decompressor.unused_data:
                raise InvalidFrame("not exactly one zstd frame")
            return data

else:

    class _Zstd(threading.local):
        def __init__(self) -> None:
            import zstandard  # noqa: PLC0415  # imported only where values are compressed

            self._module = zstandard
            self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
            self._decompressor = zstandard.ZstdDecompressor()

        def compress(self, data: bytes) -> bytes:
            return self._compressor.compress(data)

        def decompress(self, frame: bytes, limit: int) -> bytes:
            zstandard = self._module
            try:
                # The header, which is untrusted, determines how much memory is allocated.
                size = zstandard.frame_content_size(frame)  # -1: not stated
                _check_size(max(size, 0), limit)
                return self._decompressor.decompress(frame, allow_extra_data=False)
            except zstandard.ZstdError as error:
                raise InvalidFrame(str(error)) from error


def _check_size(size: int | None, limit: int) -> None:
    # Empty values are never compressed; zstandard reads a size of 0 as an empty frame.
    if not size:
        raise InvalidFrame("a zstd frame without its size")
    if size > limit:
        raise InvalidFrame(f"{size} bytes decompressed, the limit is {limit}")


@cache
def _get_zstd() -> _Zstd:
    """Return one object with a context per thread: creating one takes 15 µs, more than most values.

    It is created, and zstd imported, on first use.
    """
    return _Zstd()
