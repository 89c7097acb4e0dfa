"""Stored bytes as text, where only text can be sent: in a pipeline of the REST API.

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

from continuum_upstash.codec.signature import BadSignature
from continuum_upstash.errors import ConfigurationError, NotSerializable

_PURPOSE = b"continuum_upstash.base64"
_TAG_BYTES = 16
_CONTENT_AT = frozenset({26, 46})  # where the content begins, after one tag or two


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
