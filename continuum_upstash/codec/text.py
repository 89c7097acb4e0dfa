"""Stored bytes as text that is decoded to the same value: in a pipeline of the REST API, requests
cannot contain binary data.

A str is text itself, or the JSON of one where its first character means another format. Everything
else that is binary is signed base64 (base64.py).
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Final

from continuum_upstash.codec.base64 import SignedBase64

# The first bytes of text that has no other meaning: all printable ones but those of a number, JSON
# or base64.
PLAIN_TEXT_LEADS: Final = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F))) - frozenset(
    b'-0123456789{["tfn~'
)
_PLAIN_TEXT_LEADS: Final = frozenset(map(chr, PLAIN_TEXT_LEADS))

# How many bytes of a msgpack str contain its size, by its first byte.
_STR_SIZE_BYTES: Final = {**dict.fromkeys(range(0xA0, 0xC0), 0), 0xD9: 1, 0xDA: 2, 0xDB: 4}

# Base64 is shorter where more characters are escaped: a control character takes six or seven.
_FREE_ESCAPES: Final = 32


def is_binary(stored: bytes) -> bool:
    """Return whether the first two bytes show that they are not UTF-8, as in most msgpack."""
    return stored[:1] >= b"\x80" and (len(stored) < 2 or stored[1] & 0xC0 != 0x80)


def encode_json_string(stored: bytes, base64: SignedBase64) -> str:
    """Return a JSON string whose text is decoded to the same value as the stored bytes.

    Raises:
        NotSerializable: base64 is needed, and there is no secret to sign it with.
    """
    if not is_binary(stored):
        try:
            return encode_basestring(stored.decode())
        except UnicodeDecodeError:
            pass
    if stored[0] in _STR_SIZE_BYTES:
        at = 1 + _STR_SIZE_BYTES[stored[0]]
        size = int.from_bytes(stored[1:at], "big") if at > 1 else stored[0] & 0x1F
        if size == len(stored) - at:
            try:
                value = stored[at:].decode()
            except UnicodeDecodeError:  # a lone surrogate
                return _encode_base64(stored, base64)
            string = encode_basestring(value)
            if value[:1] not in _PLAIN_TEXT_LEADS:
                string = encode_basestring(string)
            if len(string) - len(value) <= _FREE_ESCAPES + size // 3:
                return string
    return _encode_base64(stored, base64)


def _encode_base64(stored: bytes, base64: SignedBase64) -> str:
    return f'"{base64.encode(stored)}"'  # it contains nothing to escape
