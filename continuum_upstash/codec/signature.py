"""Tags that prove that bytes were written with one of our secrets."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from continuum_upstash.errors import ConfigurationError


class BadSignature(ValueError):
    """The bytes were not signed with any of the secrets."""


class Signer:
    """Makes and verifies HMAC-SHA256 tags for one purpose.

    The first secret signs and every secret verifies. Without secrets, nothing is signed or valid.

    Args:
        secrets: the secrets.
        purpose: a tag that was made for another purpose with the same secret is not valid. It is
            part of stored tags: never change it.
        tag_bytes: the length of a tag.

    Raises:
        ConfigurationError: a secret is empty.
    """

    __slots__ = ("_keys", "tag_bytes")

    def __init__(self, secrets: Sequence[bytes], purpose: bytes, tag_bytes: int = 32) -> None:
        if not all(secrets):
            raise ConfigurationError("A secret for signing values is empty. Set SECRET_KEY.")
        self._keys = [hmac.digest(secret, purpose, "sha256") for secret in secrets]
        self.tag_bytes = tag_bytes

    def __bool__(self) -> bool:
        return bool(self._keys)

    def make_tag(self, payload: bytes) -> bytes:
        return self._compute_tag(self._keys[0], payload)

    def is_valid(self, tag: bytes | memoryview, payload: bytes | memoryview) -> bool:
        return any(hmac.compare_digest(tag, self._compute_tag(key, payload)) for key in self._keys)

    def _compute_tag(self, key: bytes, payload: bytes | memoryview) -> bytes:
        return hmac.digest(key, payload, "sha256")[: self.tag_bytes]

    def sign(self, payload: bytes) -> bytes:
        """Return the tag, followed by the payload."""
        return self.make_tag(payload) + payload

    def verify(self, data: memoryview) -> memoryview:
        """Return the payload of a tag and its payload.

        Raises:
            BadSignature: the tag is not valid.
        """
        tag, payload = data[: self.tag_bytes], data[self.tag_bytes :]
        if not self.is_valid(tag, payload):
            raise BadSignature
        return payload
