"""Identities in Redis keys: hashed, so that the database reveals no address or account."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from django.conf import settings


def hash_identity(identity: str) -> str:
    """Return 32 hexadecimal digits that depend on the identity and on SECRET_KEY."""
    hasher = _get_hasher(settings.SECRET_KEY).copy()  # half the cost of a new one
    hasher.update(identity.encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()


@lru_cache(maxsize=4)
def _get_hasher(secret: str | bytes) -> blake2b:
    secret_bytes = secret.encode() if isinstance(secret, str) else secret
    return blake2b(digest_size=16, key=blake2b(secret_bytes, person=b"ratelimit").digest())
