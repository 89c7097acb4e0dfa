"""Python values and the bytes stored for them. The first byte says what they are:

    - 0..9          an int as ASCII digits, else a number as JSON and JS print it
    { [ " t f n     JSON text
    other printable UTF-8 text, as another client wrote it
    0x80 and up     msgpack (msgpack.py), unless it is UTF-8 text
    0x01            one zstd frame (zstd.py), whose content follows this table
    0x02            a signed pickle (pickle.py)
    ~               base64 of one of the three above, where only text can travel
    0x03            reserved for encryption at rest

Whatever claims to be more than text but is not (`[x`, `0123`, `~~`) is text: a client in another
language stores its strings bare. And no msgpack that is written here is valid UTF-8, so text in
any script stays text.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import isfinite
from typing import Any, Literal

from continuum_upstash.codec.ext_types import ExtType, LazyType, NotPackable
from continuum_upstash.codec.json import read_json, write_json
from continuum_upstash.codec.limits import MAX_INT_BITS, MAX_INT_DIGITS, TooManyObjects
from continuum_upstash.codec.msgpack import Packing
from continuum_upstash.codec.pickle import SignedPickle
from continuum_upstash.codec.zstd import InvalidFrame, compress, decompress
from continuum_upstash.errors import ConfigurationError, NotSerializable

_FIRST_UTF8_LEAD, _LAST_UTF8_LEAD = 0xC2, 0xF4  # of characters beyond ASCII (RFC 3629)
_COMPRESSED, _PICKLE, _ARMOUR = b"\x01", b"\x02", b"~"

_is_int = re.compile(rb"0|-?[1-9][0-9]{0,%d}" % (MAX_INT_DIGITS - 1)).fullmatch
# As Python, JS and INCRBYFLOAT print a float. `1.10` and `1e5` are more likely a version and an
# id, which JS, too, reads as text; reading those as numbers would lose what was written.
_is_float = re.compile(
    rb"-?(?:0|[1-9][0-9]{0,308})(?=[.e])(?:\.(?:0|[0-9]{0,39}[1-9]))?(?:e[+-][0-9]{1,3})?"
).fullmatch

# What the readers of hostile or damaged bytes raise: see each reader's docstring.
_UNREADABLE = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    OSError,
    RecursionError,
    MemoryError,
    TooManyObjects,
)

# The same value behind the next wider msgpack header, whose second byte is no UTF-8.
_WIDER_HEADER = {
    0xC4: b"\xc5\0",
    0xC5: b"\xc6\0\0",
    0xC7: b"\xc8\0",
    0xC8: b"\xc9\0\0",
    0xD9: b"\xda\0",
    0xDA: b"\xdb\0\0",
    0xDC: b"\xdd\0\0",
    0xDE: b"\xdf\0\0",
}


class DecodeError(ValueError):
    """Stored bytes that mean nothing here. The message holds nothing of the value."""


class Codec:
    """Writes values in one configured form and reads every form. Immutable and thread-safe.

    Args:
        serializer: "msgpack" writes any value with its types. "json" writes what other languages
            read, and never a pickle: a value that JSON cannot hold exactly is refused.
        pickle_keys: secrets that sign the pickles written for what msgpack cannot hold, such as
            an HttpResponse. The first signs, each one verifies; without any no pickle is written
            or loaded.
        compress_min_bytes: from this size on values are compressed where that saves a tenth.
        max_decoded_bytes: a compressed value that would be larger is undecodable; a larger one
            is never compressed.
        ext: types to store beyond the standard ones.
    """

    __slots__ = ("_compress_min", "_max_decoded", "_packing", "_pickle", "_readers", "_write")

    def __init__(
        self,
        *,
        serializer: Literal["msgpack", "json"] = "msgpack",
        pickle_keys: tuple[bytes, ...] = (),
        compress_min_bytes: int | None = None,
        max_decoded_bytes: int = 64 * 1024 * 1024,
        ext: tuple[ExtType | LazyType, ...] = (),
    ) -> None:
        self._compress_min = compress_min_bytes
        self._max_decoded = max_decoded_bytes
        self._packing = Packing(ext)
        self._pickle = SignedPickle(pickle_keys)
        match serializer:
            case "msgpack":
                self._write = self._write_packed
            case "json":
                self._write = partial(write_json, resolve=self._packing.resolve)
            case _:
                raise ConfigurationError(f'SERIALIZER is "msgpack" or "json", not {serializer!r}.')
        self._readers = self._readers_by_first_byte()

    def encode(self, value: object) -> bytes:
        """Return the bytes to store, which `decode` turns into an equal value of the same type.

        An int is stored as digits, so that INCRBY works on it; a bool or an int's subclass is not.

        Raises:
            NotSerializable: the configured form cannot hold the value.
            Exception: what the value's own code raises when it is pickled, such as
                SynchronousOnlyOperation from a queryset that must be evaluated in a thread.
        """
        data = self._write(value)
        if self._compress_min is None or not self._compress_min <= len(data) <= self._max_decoded:
            return data
        frame = compress(data)
        return data if frame is None else _COMPRESSED + frame

    def decode(self, data: bytes) -> Any:
        """Return the value of stored bytes, whoever wrote them. Raises DecodeError, only."""
        if not data:
            return ""
        try:
            return self._readers[data[0]](data)
        except _UNREADABLE as exc:
            raise DecodeError(
                f"{len(data)} bytes that begin with 0x{data[0]:02x}: {type(exc).__name__}"
            ) from exc

    def _write_packed(self, value: object) -> bytes:
        if type(value) is int and value.bit_length() <= MAX_INT_BITS:
            return b"%d" % value
        try:
            packed = self._packing.pack(value)
        except NotPackable as exc:
            return self._write_pickle(value, exc)
        if packed[0] < _FIRST_UTF8_LEAD or _as_text(packed) is None:
            return packed
        return _unlike_text(packed)

    def _write_pickle(self, value: object, reason: NotPackable) -> bytes:
        if not self._pickle:
            raise NotSerializable(
                f"A {type(value).__qualname__} cannot be stored: msgpack cannot hold {reason}, "
                f"and pickle is off. Store the plain values it is made of, or set "
                f'OPTIONS["PICKLE"] = "signed".'
            ) from reason
        return _PICKLE + self._pickle.dumps(value)

    def _readers_by_first_byte(self) -> tuple[Callable[[bytes], Any], ...]:
        readers: list[Callable[[bytes], Any]] = [_read_nothing] * 256
        for lead in b"\t\n\r" + bytes(range(0x20, 0x7F)):
            readers[lead] = bytes.decode
        for lead in b"-0123456789":
            readers[lead] = _read_number
        for lead in b'{["tfn':
            readers[lead] = _read_json_text
        for lead in range(0x80, 0x100):
            readers[lead] = self._packing.unpack
        for lead in range(_FIRST_UTF8_LEAD, _LAST_UTF8_LEAD + 1):
            readers[lead] = self._read_text_or_packed
        readers[_COMPRESSED[0]] = self._read_compressed
        readers[_PICKLE[0]] = self._read_pickle
        readers[_ARMOUR[0]] = self._read_armoured
        return tuple(readers)

    def _read_text_or_packed(self, data: bytes) -> Any:
        text = _as_text(data)
        return self._packing.unpack(data) if text is None else text

    def _read_compressed(self, data: bytes) -> Any:
        content = decompress(data[1:], self._max_decoded)
        # Nothing is wrapped twice, except by someone who wants it unwrapped for ever.
        if content.startswith((_COMPRESSED, _ARMOUR)):
            raise InvalidFrame("a wrapped value within")
        return self._readers[content[0]](content)

    def _read_pickle(self, data: bytes) -> Any:
        return self._pickle.loads(memoryview(data)[1:])

    def _read_armoured(self, data: bytes) -> Any:
        try:
            content = b64decode(data[1:], validate=True)
        except ValueError:
            content = b""
        if content.startswith((_COMPRESSED, _PICKLE)):
            return self._readers[content[0]](content)
        if content[:1] >= b"\x80":
            with suppress(*_UNREADABLE):
                return self._packing.unpack(content)
        return data.decode()


def to_text(data: bytes) -> str:
    """Return stored bytes as text that decodes to the same value, for where bytes cannot travel."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _base64(data).decode()


def _base64(data: bytes) -> bytes:
    return _ARMOUR + b64encode(data)


def _as_text(data: bytes) -> str | None:
    """Return what a client that stores strings bare means by bytes that msgpack might mean, too."""
    if len(data) < 2 or data[1] & 0xC0 != 0x80:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _unlike_text(packed: bytes) -> bytes:
    """Return another form of the same value, one that is not valid UTF-8."""
    header = _WIDER_HEADER.get(packed[0])
    if header is None:  # -0.0 and its kin: a float's header has no wider form
        return _base64(packed)
    return header + packed[1:]


def _read_number(data: bytes) -> int | float | str:
    if _is_int(data):
        return int(data)
    if _is_float(data) and isfinite(number := float(data)):
        return number
    return data.decode()


def _read_json_text(data: bytes) -> Any:
    text = data.decode()
    try:
        return read_json(text)
    except ValueError:
        return text


def _read_nothing(_data: bytes) -> Any:
    raise ValueError("no stored form begins like this")
