"""Encodes Python values to stored bytes and decodes them. The first byte determines the format:

    - 0..9          an int as ASCII digits, or a number as JSON and JS print it
    { [ " t f n     JSON text
    other printable UTF-8 text, written by another client
    0x80 and up     msgpack (msgpack.py), unless it is UTF-8 text
    0x01            one zstd frame (zstd.py); its content follows this table
    0x02            signed: a pickle (pickle.py), or msgpack with types that require a signature
    ~               signed base64 of one of the three above, where only text can be sent (text.py)
    0x03            reserved for encryption at rest
    0x04            an envelope (envelope.py): `read_envelope` reads it. `decode` rejects it, since
                    its content is only valid for a time and while its tags are not deleted

Bytes that begin like another format but do not parse (`[x`, `0123`, `~~`) are text: clients in
other languages store strings without quotes. The msgpack that we write is never valid UTF-8, so
text in any script stays text.

Nothing in the bytes is trusted unless it is signed: docs/reference/stored-bytes.md says how much
memory and time decoding takes at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Any, Literal

from continuum_upstash.codec.envelope import ENVELOPE, Envelope, unpack_envelope
from continuum_upstash.codec.ext_types import ExtType, LazyType, NotPackable, SignatureRequired
from continuum_upstash.codec.json import decode_json, encode_json
from continuum_upstash.codec.limits import (
    MAX_INT_BITS,
    MAX_INT_DIGITS,
    MIN_MEMORY_PER_BYTE,
    LimitExceeded,
    estimate_memory,
    get_memory_limit,
    get_min_stored_bytes,
)
from continuum_upstash.codec.msgpack import MsgpackSerializer
from continuum_upstash.codec.pickle import SignedPickle, UnpickleError
from continuum_upstash.codec.signature import Signer
from continuum_upstash.codec.text import PLAIN_TEXT_LEADS, SignedBase64, is_binary
from continuum_upstash.codec.zstd import InvalidFrame, compress, decompress
from continuum_upstash.errors import ConfigurationError, NotSerializable

_FIRST_UTF8_LEAD, _LAST_UTF8_LEAD = 0xC2, 0xF4  # first bytes of characters beyond ASCII (RFC 3629)
_COMPRESSED, _SIGNED, _BASE64 = b"\x01", b"\x02", b"~"
_SIGNED_PURPOSE = b"continuum_upstash.signed"
# The first byte of a pickle. In msgpack it is a whole value, an empty dict, which is not signed.
_PICKLE = 0x80

_MAX_FAST_DIGITS = 18

_is_int = re.compile(rb"0|-?[1-9][0-9]{0,%d}" % (MAX_INT_DIGITS - 1)).fullmatch
# A float as Python, JS and INCRBYFLOAT print it. `1.10` and `1e5` are more likely a version and an
# ID; @upstash/redis (JS) decodes them as text, too.
_is_float = re.compile(
    rb"-?(?:0|[1-9][0-9]{0,308})(?=[.e])(?:\.(?:0|[0-9]{0,39}[1-9]))?(?:e[+-][0-9]{1,3})?"
).fullmatch

# The errors of decoding hostile or damaged bytes: see each decoder's docstring.
_DECODING_ERRORS = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    OSError,
    RecursionError,
    MemoryError,
    LimitExceeded,
)

_SINGLETONS = {None: b"\xc0", False: b"\xc2", True: b"\xc3"}

# The msgpack headers of short str by their size: those with which it is never valid UTF-8.
_STR_HEADERS = [bytes([0xA0 | size]) if size < 32 else bytes([0xD9, size]) for size in range(128)]

# The next wider msgpack header for the same value. Its second byte is not valid UTF-8.
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
    """Stored bytes cannot be decoded. The message contains nothing of the value."""


class Codec:
    """Encodes values in the configured format and decodes every format. Immutable, thread-safe.

    Args:
        serializer: "msgpack" stores every value with its types. "json" stores JSON for clients in
            other languages, and no pickles: it rejects a value that JSON cannot represent exactly.
        pickle_keys: secrets that sign pickles, which store what msgpack cannot, for example an
            HttpResponse. The first secret signs, every secret verifies. Without secrets, pickles
            are neither written nor loaded.
        signing_keys: secrets that sign values of types which are only read from signed bytes;
            by default `pickle_keys`.
        base64: encodes and decodes binary values that are sent as text; by default, `signing_keys`
            sign and verify them.
        compress_min_bytes: values of at least this size are compressed if that saves 10 %.
        max_decoded_bytes: a compressed value that would be larger is not decoded; a larger value
            is not compressed.
        ext: types to store besides the standard ones.
    """

    __slots__ = (
        "_base64",
        "_compress_min",
        "_decoders",
        "_encode",
        "_max_decoded",
        "_msgpack",
        "_pickle",
        "_signed_msgpack",
        "_signer",
    )

    def __init__(
        self,
        *,
        serializer: Literal["msgpack", "json"] = "msgpack",
        pickle_keys: tuple[bytes, ...] = (),
        signing_keys: tuple[bytes, ...] | None = None,
        base64: SignedBase64 | None = None,
        compress_min_bytes: int | None = None,
        max_decoded_bytes: int = 64 * 1024 * 1024,
        ext: tuple[ExtType | LazyType, ...] = (),
    ) -> None:
        self._compress_min = compress_min_bytes
        self._max_decoded = max_decoded_bytes
        keys = pickle_keys if signing_keys is None else signing_keys
        self._msgpack = MsgpackSerializer(ext)
        self._signed_msgpack = MsgpackSerializer(ext, is_signed=True)
        self._signer = Signer(keys, _SIGNED_PURPOSE)
        self._pickle = SignedPickle(pickle_keys)
        self._base64 = SignedBase64(keys) if base64 is None else base64
        match serializer:
            case "msgpack":
                self._encode = self._encode_msgpack
            case "json":
                self._encode = partial(encode_json, resolve=self._msgpack.resolve)
            case _:
                raise ConfigurationError(f"SERIALIZER must be msgpack or json, not {serializer!r}.")
        self._decoders = self._make_decoders()

    def encode(self, value: object) -> bytes:
        """Return the bytes to store. `decode` returns an equal value of the same type.

        An int is stored as digits, for INCRBY; a bool or an instance of an int's subclass is not.

        Raises:
            NotSerializable: the configured format cannot represent the value.
            Exception: an error of the value's own code while it is pickled, for example
                SynchronousOnlyOperation from a queryset that must be evaluated in a thread.
        """
        data = self._encode(value)
        if self._compress_min is None or not self._compress_min <= len(data) <= self._max_decoded:
            return data
        frame = compress(data, get_min_stored_bytes(data) - len(_COMPRESSED))
        return data if frame is None else _COMPRESSED + frame

    def decode(self, data: bytes) -> Any:
        """Return the value of stored bytes, also of other clients. Raises DecodeError only."""
        if not data:
            return ""
        try:
            return self._decoders[data[0]](data)
        except _DECODING_ERRORS as exc:
            raise _make_decode_error(data, exc) from exc

    def read_envelope(self, data: bytes) -> Envelope:
        """Return the envelope of stored bytes. Ordinary bytes get one without a time and tags.

        Raises:
            DecodeError: the bytes begin like an envelope and are none.
        """
        content: bytes | None = data
        try:
            if data.startswith(_BASE64):
                content = self._base64.decode(data)
            if content is not None and content.startswith(ENVELOPE):
                return unpack_envelope(content)
        except ValueError as exc:
            raise _make_decode_error(data, exc) from exc
        return Envelope(data)

    def _encode_msgpack(self, value: object) -> bytes:
        if type(value) is str:
            try:
                text = value.encode()
            except UnicodeEncodeError:  # a lone surrogate
                text = b""
            if 0 < len(text) < len(_STR_HEADERS):
                return _STR_HEADERS[len(text)] + text
        elif type(value) is int and value.bit_length() <= MAX_INT_BITS:
            return b"%d" % value
        elif value is None or value is True or value is False:
            return _SINGLETONS[value]
        try:
            packed = self._msgpack.pack(value)
        except SignatureRequired as exc:
            return self._encode_signed(value, exc)
        except NotPackable as exc:
            return self._encode_pickle(value, exc)
        may_be_text = packed[0] >= _FIRST_UTF8_LEAD and _try_utf8(packed) is not None
        return _force_non_utf8(packed, value) if may_be_text else packed

    def _encode_signed(self, value: object, reason: SignatureRequired) -> bytes:
        if not self._signer:
            raise NotSerializable(
                f"A {type(value).__qualname__} cannot be stored: it contains {reason}, and there "
                "is no key to sign it with."
            ) from reason
        try:
            packed = self._signed_msgpack.pack(value)
        except NotPackable as exc:
            return self._encode_pickle(value, exc)
        return _SIGNED + self._signer.sign(packed)

    def _encode_pickle(self, value: object, reason: NotPackable) -> bytes:
        if not self._pickle:
            raise NotSerializable(
                f"A {type(value).__qualname__} cannot be stored: msgpack cannot encode {reason}, "
                "and pickle is disabled. Store its plain values instead, or set "
                'OPTIONS["PICKLE"] = "signed".'
            ) from reason
        return _SIGNED + self._pickle.dumps(value)

    def _make_decoders(self) -> tuple[Callable[[bytes], Any], ...]:
        decoders: list[Callable[[bytes], Any]] = [_reject_unknown_format] * 256
        for lead in PLAIN_TEXT_LEADS:
            decoders[lead] = bytes.decode
        for lead in b"-0123456789":
            decoders[lead] = _decode_number
        for lead in b'{["tfn':
            decoders[lead] = _decode_json_text
        for lead in range(0x80, 0x100):
            decoders[lead] = self._msgpack.unpack
        for lead in range(_FIRST_UTF8_LEAD, _LAST_UTF8_LEAD + 1):
            decoders[lead] = self._decode_text_or_msgpack
        for lead in range(0xA0, 0xC0):
            decoders[lead] = self._decode_short_str
        decoders[0xD9] = self._decode_str
        decoders[_COMPRESSED[0]] = self._decode_compressed
        decoders[_SIGNED[0]] = self._decode_signed
        decoders[_BASE64[0]] = self._decode_base64
        return tuple(decoders)

    def _decode_text_or_msgpack(self, data: bytes) -> Any:
        if is_binary(data):
            return self._msgpack.unpack(data)
        text = _try_utf8(data)
        return self._msgpack.unpack(data) if text is None else text

    def _decode_short_str(self, data: bytes) -> Any:
        if data[0] & 0x1F == len(data) - 1:
            try:
                return data[1:].decode()
            except UnicodeDecodeError:  # a lone surrogate
                pass
        return self._msgpack.unpack(data)

    def _decode_str(self, data: bytes) -> Any:
        if len(data) - 2 == data[1] < 0x80:
            try:
                return data[2:].decode()
            except UnicodeDecodeError:  # likewise
                pass
        return self._decode_text_or_msgpack(data)

    def _decode_compressed(self, data: bytes) -> Any:
        limit = get_memory_limit(len(data))
        content = decompress(data[1:], min(self._max_decoded, limit // MIN_MEMORY_PER_BYTE))
        # We never nest these formats; hostile bytes could nest them without end.
        if content.startswith((_COMPRESSED, _BASE64)):
            raise InvalidFrame("a nested compressed or base64 value")
        if estimate_memory(content) > limit:
            raise LimitExceeded("memory of a compressed value")
        return self._decoders[content[0]](content)

    def _decode_signed(self, data: bytes) -> Any:
        signed = memoryview(data)[1:]
        kind = signed[self._signer.tag_bytes : self._signer.tag_bytes + 1]
        if kind and kind[0] == _PICKLE:
            return self._pickle.loads(signed)
        return self._signed_msgpack.unpack(bytes(self._signer.verify(signed)))

    def _decode_base64(self, data: bytes) -> Any:
        content = self._base64.decode(data)
        if content is None:
            return data.decode()
        if content.startswith(_BASE64):
            raise ValueError("nested base64")
        return self._decoders[content[0]](content)


def _make_decode_error(data: bytes, error: BaseException) -> DecodeError:
    name = type(error).__name__
    reason = f"{name} ({error})" if type(error) is UnpickleError else name
    return DecodeError(f"{len(data)} bytes with first byte 0x{data[0]:02x}: {reason}")


def _try_utf8(data: bytes) -> str | None:
    """Return the text of bytes that could be msgpack, too, or None if they are not UTF-8."""
    if len(data) < 2 or data[1] & 0xC0 != 0x80:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _force_non_utf8(packed: bytes, value: object) -> bytes:
    """Return another encoding of the same value, one that is not valid UTF-8, or a number."""
    header = _WIDER_HEADER.get(packed[0])
    if header is None:  # there is no wider header for a float, for example -0.0
        return repr(value).encode()
    return header + packed[1:]


def _decode_number(data: bytes) -> int | float | str:
    if data.isdigit() and len(data) <= _MAX_FAST_DIGITS and data[0] != 0x30:
        return int(data)
    if _is_int(data):
        return int(data)
    if _is_float(data) and isfinite(number := float(data)):
        return number
    return data.decode()


def _decode_json_text(data: bytes) -> Any:
    text = data.decode()
    try:
        return decode_json(text)
    except ValueError:
        return text


def _reject_unknown_format(_data: bytes) -> Any:
    raise ValueError("no format has this first byte")
