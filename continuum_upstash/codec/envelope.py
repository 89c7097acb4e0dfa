"""The envelope of a stored value: how long it is fresh, what it took to compute, and its tags.

    0x04
    8 bytes   fresh until, in Unix milliseconds; 0: until the key expires
    4 bytes   milliseconds that the value took to compute
    1 byte    number of tags; for each one:
        1 byte    length of its name
        n bytes   its name, in UTF-8
        12 bytes  the token that it had when the value was computed
    the value's ordinary stored bytes

Numbers are unsigned and big-endian. Only values that need one of these have an envelope.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from struct import Struct
from typing import Final, NamedTuple

ENVELOPE: Final = b"\x04"
TOKEN_BYTES: Final = 12
MAX_TAGS: Final = 64
MAX_TAG_BYTES: Final = 255

_HEADER: Final = Struct(">cQIB")
_MAX_COMPUTE_MS: Final = 2**32 - 1
_MAX_UNIX_MS: Final = 2**53
# An envelope or signed base64 inside an envelope could be nested without end.
_NESTED: Final = (ENVELOPE, b"~")


class Envelope(NamedTuple):
    """A value's stored bytes and what is known about them.

    Attributes:
        content: the ordinary stored bytes.
        fresh_until_ms: Unix milliseconds; 0: until the key expires.
        compute_ms: what computing the value took.
        tokens: the token of each tag when the value was computed.
    """

    content: bytes
    fresh_until_ms: int = 0
    compute_ms: int = 0
    tokens: Mapping[str, bytes] = {}

    def is_fresh(self, now_ms: int, grace_ms: int = 0) -> bool:
        """Return whether the value may be used, also up to `grace_ms` after its time."""
        return not self.fresh_until_ms or now_ms < self.fresh_until_ms + grace_ms


def peek_envelope(data: bytes) -> Envelope:
    """Return the envelope of stored bytes without checking the signature of base64 text.

    Ordinary bytes get one without a time and tags.

    Args:
        data: the stored bytes, or their base64 text (see text.py).

    Raises:
        ValueError: they begin like an envelope and are none.
    """
    content = data
    if data.startswith(b"~"):
        with suppress(ValueError):  # other text
            content = b64decode(data.rpartition(b"~")[2])
    return unpack_envelope(content) if content.startswith(ENVELOPE) else Envelope(data)


def pack_envelope(envelope: Envelope) -> bytes:
    """Return the bytes of an envelope, with at most MAX_TAGS tags of MAX_TAG_BYTES each."""
    header = _HEADER.pack(
        ENVELOPE,
        min(envelope.fresh_until_ms, _MAX_UNIX_MS),
        min(envelope.compute_ms, _MAX_COMPUTE_MS),
        len(envelope.tokens),
    )
    parts = [header]
    for tag, token in envelope.tokens.items():
        name = tag.encode()
        parts += (bytes((len(name),)), name, token)
    return b"".join((*parts, envelope.content))


def unpack_envelope(data: bytes) -> Envelope:
    """Return the envelope of bytes that begin with ENVELOPE.

    Raises:
        ValueError: they are no envelope.
    """
    if len(data) < _HEADER.size:
        raise ValueError("a cut envelope")
    _, fresh_until_ms, compute_ms, tag_count = _HEADER.unpack_from(data)
    if tag_count > MAX_TAGS or fresh_until_ms > _MAX_UNIX_MS:
        raise ValueError("an envelope out of range")
    tokens: dict[str, bytes] = {}
    at = _HEADER.size
    for _ in range(tag_count):
        end = at + 1 + (data[at] if at < len(data) else 0)
        tokens[data[at + 1 : end].decode()] = token = data[end : end + TOKEN_BYTES]
        if end == at + 1 or len(token) < TOKEN_BYTES:
            raise ValueError("an envelope with a cut or empty tag")
        at = end + TOKEN_BYTES
    if len(tokens) != tag_count:
        raise ValueError("an envelope that repeats a tag")
    content = data[at:]
    if content.startswith(_NESTED):
        raise ValueError("a nested envelope")
    return Envelope(content, fresh_until_ms, compute_ms, tokens)
