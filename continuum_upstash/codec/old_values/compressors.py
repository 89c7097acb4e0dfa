"""Decompresses what the compressors of django-redis and django-valkey have written, with a limit.

Each function returns None for bytes that are not compressed: those packages do not compress short
values. Content above the limit raises LimitExceeded.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any, Final, TypeAlias

from continuum_upstash.codec.limits import LimitExceeded
from continuum_upstash.errors import ConfigurationError

Decompress: TypeAlias = Callable[[bytes, int], bytes | None]

LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_LZMA_MAGIC: Final = b"\xfd7zXZ\x00"
_LZMA_MEMORY: Final = 128 * 1024 * 1024
_GZIP_WINDOW: Final = 31  # zlib reads the header of gzip


def _decompress_zlib(data: bytes, limit: int) -> bytes | None:
    return _inflate(zlib.decompressobj(), data, limit)


def _decompress_gzip(data: bytes, limit: int) -> bytes | None:
    return _inflate(zlib.decompressobj(_GZIP_WINDOW), data, limit)


def _inflate(stream: Any, data: bytes, limit: int) -> bytes | None:
    try:
        content: bytes = stream.decompress(data, limit + 1)
    except zlib.error:
        return None
    _check_limit(content, limit)
    return content if stream.eof else None


def _decompress_lzma(data: bytes, limit: int) -> bytes | None:
    if not data.startswith(_LZMA_MAGIC):
        return None
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    return _decompress_stream(stream, data, limit, lzma.LZMAError)


def _decompress_bz2(data: bytes, limit: int) -> bytes | None:
    return _decompress_stream(bz2.BZ2Decompressor(), data, limit, OSError)


def _decompress_lz4(data: bytes, limit: int) -> bytes | None:
    if not data.startswith(LZ4_MAGIC):
        return None
    stream = _import("lz4.frame", "lz4").LZ4FrameDecompressor()
    return _decompress_stream(stream, data, limit, RuntimeError)


def _decompress_stream(
    stream: Any, data: bytes, limit: int, error: type[Exception]
) -> bytes | None:
    try:
        content: bytes = stream.decompress(data, max_length=limit + 1)
    except error:
        return None
    _check_limit(content, limit)
    return content if stream.eof else None


def _decompress_zstd(data: bytes, limit: int) -> bytes | None:
    """Pyzstd writes the size of the content in the header, backports.zstd does, too."""
    if not data.startswith(_ZSTD_MAGIC):
        return None
    from continuum_upstash.codec.zstd import InvalidFrame, decompress  # noqa: PLC0415 as in codec

    try:
        return decompress(data, limit)
    except InvalidFrame:
        return None


def _decompress_brotli(data: bytes, limit: int) -> bytes | None:
    brotli = _import("brotli", "brotli>=1.2")
    stream = brotli.Decompressor()
    try:
        content: bytes = stream.process(data, output_buffer_limit=limit + 1)
        while not stream.is_finished() and len(content) <= limit:
            more = stream.process(b"", output_buffer_limit=limit + 1)
            if not more:
                return None  # the stream is incomplete
            content += more
    except brotli.error:
        return None
    _check_limit(content, limit)
    return content


def _check_limit(content: bytes, limit: int) -> None:
    if len(content) > limit:
        raise LimitExceeded(f"the limit of {limit} bytes decompressed")


def _import(name: str, package: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigurationError(
            f"OLD_VALUES: install {package} to read the values that it has compressed."
        ) from None


DECOMPRESSORS: Final[Mapping[str, Decompress]] = MappingProxyType(
    {
        "identity": lambda _data, _limit: None,
        "zlib": _decompress_zlib,
        "gzip": _decompress_gzip,
        "lzma": _decompress_lzma,
        "bz2": _decompress_bz2,
        "lz4": _decompress_lz4,
        "zstd": _decompress_zstd,
        "brotli": _decompress_brotli,
    }
)
"""The decompressors by name: ``decompress(data, limit)`` returns the content."""
