"""A codec that also reads the values of django-redis, django-valkey and Django's RedisCache.

New values are written in the formats of this package, so one database can be read in place while
its values are replaced. How a value is recognized:

    an int as digits                     as everywhere
    first byte 0x01, 0x02, 0x04 or ~     of this package, unless it is not valid there
    otherwise                            decompressed, if it is compressed, then read by the
                                         serializer of the old backend
    what that cannot read                of this package
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.envelope import ENVELOPE, Envelope
from continuum_upstash.codec.limits import MAX_INT_DIGITS
from continuum_upstash.codec.msgpack import MsgpackSerializer
from continuum_upstash.codec.old_values.compressors import DECOMPRESSORS, LZ4_MAGIC

_MAX_CONTENT: Final = 64 * 1024 * 1024
_OWN_LEADS: Final = (b"\x01", b"\x02", ENVELOPE, b"~")
_FIRST_MSGPACK: Final = 0x80  # below are small ints and, in other formats, text
_is_int: Final = re.compile(rb"-?[0-9]{1,%d}" % MAX_INT_DIGITS).fullmatch
# The first bytes of a pickle of the protocols 2 to 5; it ends with a dot.
_is_pickle: Final = re.compile(rb"\x80[\x02-\x05].*\.", re.DOTALL).fullmatch


class OldValues(NamedTuple):
    """Which values an old backend has stored.

    Attributes:
        serializer: ``pickle``, ``json`` or ``msgpack``.
        compressor: a name in `DECOMPRESSORS`.
    """

    serializer: str
    compressor: str


class OldValueCodec(Codec):
    """Reads the values of an old backend, too. It loads unsigned pickles if those are pickles.

    A program that can write to the database can then run code in the process that reads it.

    Args:
        old_values: which values the old backend has stored.
        options: those of `Codec`.
    """

    __slots__ = ("_decompress", "_load", "_old_msgpack")

    def __init__(self, old_values: OldValues, **options: Any) -> None:
        super().__init__(**options)
        self._decompress = DECOMPRESSORS[old_values.compressor]
        self._old_msgpack = MsgpackSerializer(options.get("ext", ()))
        loads: dict[str, Callable[[bytes], Any]] = {
            "pickle": _load_pickle,
            "json": _load_json,
            "msgpack": self._load_msgpack,
        }
        self._load = loads[old_values.serializer]

    def decode(self, data: bytes) -> Any:
        """Return the value of stored bytes, of this package or of the old backend.

        Raises:
            DecodeError: neither can read them.
        """
        if _is_int(data):
            return super().decode(data)
        if data.startswith(_OWN_LEADS) and not data.startswith(LZ4_MAGIC):
            try:
                return super().decode(data)
            except DecodeError:
                return self._decode_old(data)
        try:
            return self._decode_old(data)
        except DecodeError as error:
            try:
                return super().decode(data)
            except DecodeError:
                raise error from None

    def read_envelope(self, data: bytes) -> Envelope:
        """Return the envelope of stored bytes; those compressed by lz4 begin like one."""
        if data.startswith(LZ4_MAGIC):
            return Envelope(data)
        return super().read_envelope(data)

    def _decode_old(self, data: bytes) -> Any:
        try:
            content = self._decompress(data, _MAX_CONTENT)
            return self._load(data if content is None else content)
        except Exception as exc:
            raise DecodeError(
                f"{len(data)} bytes of the old backend: {type(exc).__name__}"
            ) from exc

    def _load_msgpack(self, data: bytes) -> Any:
        if data[0] < _FIRST_MSGPACK:
            raise ValueError("an int, which those packages store as digits, or text")
        return self._old_msgpack.unpack(data)


def _load_pickle(data: bytes) -> Any:
    if not _is_pickle(data):
        raise ValueError("no pickle of the protocols 2 to 5")
    return pickle.loads(data)


def _load_json(data: bytes) -> Any:
    return json.loads(data.decode())
