"""Stored bytes as text that is decoded to the same value: in a pipeline of the REST API, requests
cannot contain binary data.

A str is text itself, or the JSON of one where its first character means another format. Everything
else that is binary is signed base64:

    ~tags~content       both in base64; a tag is a keyed BLAKE2b of the content, of 16 bytes

Clients in other languages store strings without quotes, so a user's text may have this form, too.
The tags prove that the text was written by a client that has a secret of ours: otherwise a user
could choose the type of a stored value.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from hashlib import blake2b
from json.encoder import encode_basestring
from typing import Final

from msgpack import unpackb

from continuum_upstash.codec.signature import BadSignature
from continuum_upstash.errors import ConfigurationError, NotSerializable

_PURPOSE = b"continuum_upstash.base64"
_TAG_BYTES = 16
_CONTENT_AT = frozenset({26, 46})  # where the content begins, after one tag or two

# The first bytes of text that has no other meaning: all printable ones but those of a number, JSON
# or base64.
PLAIN_TEXT_LEADS: Final = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F))) - frozenset(
    b'-0123456789{["tfn~'
)
_PLAIN_TEXT_LEADS: Final = frozenset(map(chr, PLAIN_TEXT_LEADS))

# The first bytes of the msgpack of a str.
_STR_LEADS: Final = frozenset([*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB])

# Base64 is shorter where more characters are escaped: a control character takes six or seven.
_FREE_ESCAPES: Final = 32


class SignedBase64:
    """Encodes stored bytes as text, and decodes such text.

    Args:
        secrets: groups of secrets. The first of each group signs, so that a client that has only
            one of the groups can verify the text; every secret verifies. Empty groups are ignored.

    Raises:
        ConfigurationError: a secret is empty.
    """

    __slots__ = ("_signing", "_verifying")

    def __init__(self, *secrets: Sequence[bytes]) -> None:
        groups = [[_make_hash(secret) for secret in group] for group in secrets if group]
        self._signing = [group[0] for group in groups]
        self._verifying = [each for group in groups for each in group]

    def encode(self, content: bytes) -> str:
        """Return the text of binary content.

        Raises:
            NotSerializable: there is no secret.
        """
        if not self._signing:
            raise NotSerializable(
                "A binary value cannot be sent in a pipeline of the REST API: the client has no "
                "secret to sign its text with. Pass pickle_keys, or a token that is a string."
            )
        tags = b"".join([_compute_tag(each, content) for each in self._signing])
        text = b"~%b~%b" % (b2a_base64(tags, newline=False), b2a_base64(content, newline=False))
        return text.decode()

    def decode(self, text: bytes) -> bytes | None:
        """Return the content, or None if `text` is just text.

        Raises:
            BadSignature: no tag is valid: the secrets have changed, or it is an imitation.
        """
        start = text.find(b"~", 1, 46) + 1
        if start not in _CONTENT_AT:
            return None
        try:
            tags = a2b_base64(text[1 : start - 1], strict_mode=True)
            content = a2b_base64(memoryview(text)[start:], strict_mode=True)
        except ValueError:
            return None
        if not content or len(tags) % _TAG_BYTES:
            return None
        for each in self._verifying:
            tag = _compute_tag(each, content)
            for at in range(0, len(tags), _TAG_BYTES):
                if hmac.compare_digest(tag, tags[at : at + _TAG_BYTES]):
                    return content
        raise BadSignature


def _make_hash(secret: bytes) -> blake2b:
    """Return a hash with the secret's key, which is copied for each value."""
    if not secret:
        raise ConfigurationError("A secret for signing values is empty. Set SECRET_KEY.")
    return blake2b(key=hmac.digest(secret, _PURPOSE, "sha256"), digest_size=_TAG_BYTES)


def _compute_tag(keyed: blake2b, content: bytes) -> bytes:
    tag = keyed.copy()
    tag.update(content)
    return tag.digest()


def is_binary(stored: bytes) -> bool:
    """Return whether the first two bytes show that they are not UTF-8, as in most msgpack."""
    return stored[:1] >= b"\x80" and (len(stored) < 2 or stored[1] & 0xC0 != 0x80)


def encode_json_string(stored: bytes, base64: SignedBase64) -> str:
    """Return a JSON string whose text is decoded to the same value as the stored bytes.

    Raises:
        NotSerializable: base64 is needed, and there is no secret to sign it with.
    """
    lead = stored[0] if stored else 0
    if lead < 0x80 or (len(stored) > 1 and stored[1] & 0xC0 == 0x80):  # as in `is_binary`
        try:
            return encode_basestring(stored.decode())
        except UnicodeDecodeError:
            pass
    if lead in _STR_LEADS:
        try:
            value: str = unpackb(stored)
        except ValueError:  # a lone surrogate, or bytes that are no msgpack
            return _encode_base64(stored, base64)
        string = encode_basestring(value)
        if value[:1] not in _PLAIN_TEXT_LEADS:
            string = encode_basestring(string)
        if len(string) - len(value) <= _FREE_ESCAPES + len(stored) // 3:
            return string
    return _encode_base64(stored, base64)


def _encode_base64(stored: bytes, base64: SignedBase64) -> str:
    return f'"{base64.encode(stored)}"'  # it contains nothing to escape
