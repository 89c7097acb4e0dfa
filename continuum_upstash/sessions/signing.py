"""Signs sessions before they are stored, and verifies them when they are read.

    payload:stamp:signature   ASCII, in the format of django.core.signing

The payload is the output of SESSION_SERIALIZER, compressed if that makes it shorter. The stamp is
the unix second until which the user index lists the session; 0: it does not. The digest of the
session key is part of the salt, so a session that was copied to another Redis key is rejected.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth import SESSION_KEY
from django.core import signing

from continuum_upstash.sessions.keys import NAMESPACE

_security_log: Final = logging.getLogger("django.security.SuspiciousSession")


def make_salt(digest: str) -> str:
    return f"{NAMESPACE}:{digest}"


@dataclass(frozen=True, slots=True)
class UnsignedSession:
    """A session before it is signed.

    Attributes:
        serializer: the class that SESSION_SERIALIZER names.
        indexed_until: the stamp, in unix seconds.
    """

    digest: str
    data: dict[str, Any]
    serializer: Any
    indexed_until: int = 0


@dataclass(frozen=True, slots=True)
class SignedSession:
    """A session as it is stored.

    Attributes:
        digest: of the Redis key under which it is stored.
        signed: the stored bytes.
        user_id: the user who is logged in, if any.
        indexed_until: the stamp, in unix seconds.
        data: the verified content.
    """

    digest: str
    signed: bytes
    user_id: str | None
    indexed_until: int
    data: dict[str, Any] = field(repr=False)


class _SessionSigner(signing.TimestampSigner):
    def __init__(self, digest: str, stamp: int = 0) -> None:
        super().__init__(salt=make_salt(digest))
        self._stamp = stamp

    def timestamp(self) -> str:
        return signing.b62_encode(self._stamp)


def sign(session: object) -> bytes:
    """Return the stored form of an UnsignedSession."""
    assert isinstance(session, UnsignedSession)
    signer = _SessionSigner(session.digest, session.indexed_until)
    return signer.sign_object(session.data, serializer=session.serializer, compress=True).encode()


def verify(signed: bytes, digests: Sequence[str], serializer: Any) -> SignedSession | None:
    """Return the session, or None if it was not signed for one of `digests`.

    Args:
        signed: the stored bytes.
        digests: first the digest of the Redis key under which they are stored, then older ones.
        serializer: the class that SESSION_SERIALIZER names.
    """
    text = signed.decode("latin-1")
    for digest in digests:
        try:
            data = _SessionSigner(digest).unsign_object(text, serializer=serializer)
        except signing.BadSignature:
            continue
        except Exception:  # noqa: BLE001 a project's serializer may raise anything
            _security_log.warning("Session data was not written by the current SESSION_SERIALIZER")
            return None
        stamp = signing.b62_decode(text.rsplit(":", 2)[1])
        return SignedSession(digests[0], signed, get_user_id(data), stamp, data)
    _security_log.warning("Session data corrupted")
    return None


def get_user_id(data: dict[str, Any]) -> str | None:
    """Return the id of the user who is logged in, as a string."""
    user_id = data.get(SESSION_KEY)
    return None if user_id is None else str(user_id)


def get_payload(signed: bytes) -> bytes:
    return signed.rsplit(b":", 2)[0]
