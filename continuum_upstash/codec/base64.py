"""Stored bytes as text, where only text can be sent: in a pipeline of the REST API.

    ~tags~content       both in base64; a tag is an HMAC-SHA256 of the content, cut to 16 bytes

Clients in other languages store strings without quotes, so a user's text may have this form, too.
The tags prove that the text was written by a client that has a secret of ours: otherwise a user
could choose the type of a stored value.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence

from continuum_upstash.codec.signature import BadSignature, Signer
from continuum_upstash.errors import NotSerializable

_PURPOSE = b"continuum_upstash.base64"
_TAG_BYTES = 16

_match_form = re.compile(
    rb"~((?:[A-Za-z0-9+/]{22}==)|(?:[A-Za-z0-9+/]{43}=))~([A-Za-z0-9+/]+={0,2})"
).fullmatch


class SignedBase64:
    """Encodes stored bytes as text, and decodes such text.

    Args:
        secrets: groups of secrets. The first of each group signs, so that a client that has only
            one of the groups can verify the text; every secret verifies. Empty groups are ignored.
    """

    __slots__ = ("_signers",)

    def __init__(self, *secrets: Sequence[bytes]) -> None:
        self._signers = [Signer(group, _PURPOSE, _TAG_BYTES) for group in secrets if group]

    def encode(self, content: bytes) -> str:
        """Return the text of binary content.

        Raises:
            NotSerializable: there is no secret.
        """
        if not self._signers:
            raise NotSerializable(
                "A binary value cannot be sent in a pipeline of the REST API: the client has no "
                "secret to sign its text with. Pass pickle_keys, or a token that is a string."
            )
        tags = b"".join(signer.make_tag(content) for signer in self._signers)
        return f"~{b64encode(tags).decode()}~{b64encode(content).decode()}"

    def decode(self, text: bytes) -> bytes | None:
        """Return the content, or None if `text` is just text.

        Raises:
            BadSignature: no tag is valid: the secrets have changed, or it is an imitation.
            ValueError: the content is not base64.
        """
        form = _match_form(text)
        if form is None:
            return None
        tags, content = b64decode(form[1]), b64decode(form[2], validate=True)
        for start in range(0, len(tags), _TAG_BYTES):
            tag = tags[start : start + _TAG_BYTES]
            if any(signer.is_valid(tag, content) for signer in self._signers):
                return content
        raise BadSignature
