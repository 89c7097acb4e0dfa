"""How a session is named and sealed in the database.

    name      {KEY_PREFIX}:session:{digest}   digest: HMAC-SHA256 of the session key
    record    payload:stamp:signature         ASCII, in the format of django.core.signing

Whoever reads the database finds no session key, and so no cookie. The digest is part of the
signature's salt: a record that is copied to another name is refused. The colon after the prefix
is followed by no version, so that neither cache keys nor ``cache.clear()`` can reach a session.

The payload is what SESSION_SERIALIZER makes of the data, compressed where that is shorter. The
stamp is the second until which the index of the user's sessions is sure to list this one, and 0
while it does not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core import signing
from django.utils.crypto import salted_hmac

NAMESPACE: Final = "continuum_upstash.sessions"

# Ours have 32 characters; Django's contract is 8 and more. A cookie of another form costs nothing.
is_session_key: Final = re.compile(r"[a-z0-9]{8,128}").fullmatch

_security_log = logging.getLogger("django.security.SuspiciousSession")


def digests(session_key: str) -> tuple[str, ...]:
    """Return the digest under SECRET_KEY, then those under SECRET_KEY_FALLBACKS."""
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(
        salted_hmac(NAMESPACE, session_key, secret=secret, algorithm="sha256").hexdigest()
        for secret in secrets
    )


def record_name(prefix: str, digest: str) -> str:
    return f"{prefix}:session:{digest}"


def salt(digest: str) -> str:
    return f"{NAMESPACE}:{digest}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a session may stand: under today's secret or, until it is next written, an older one.

    Attributes:
        digests: today's first.
    """

    prefix: str
    digests: tuple[str, ...]

    @property
    def digest(self) -> str:
        return self.digests[0]

    @property
    def name(self) -> str:
        return self.name_of(self.digest)

    @property
    def older(self) -> list[str]:
        return [self.name_of(digest) for digest in self.digests[1:]]

    @property
    def names(self) -> list[str]:
        return [self.name, *self.older]

    @classmethod
    def of(cls, prefix: str, session_key: str) -> Self:
        return cls(prefix, digests(session_key))

    def name_of(self, digest: str) -> str:
        return record_name(self.prefix, digest)


@dataclass(frozen=True, slots=True)
class Draft:
    """A session that is about to be sealed.

    Attributes:
        serializer: the class that SESSION_SERIALIZER names.
        listed_until: the stamp, in unix seconds.
    """

    digest: str
    data: dict[str, Any]
    serializer: Any
    listed_until: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A stored session.

    Attributes:
        digest: of the name that it was found under.
        sealed: as it is stored.
        user: whose it is, if anybody is signed in.
        listed_until: the stamp, in unix seconds.
    """

    digest: str
    sealed: bytes
    user: str | None
    listed_until: int
    data: dict[str, Any] = field(repr=False)


class _Seal(signing.TimestampSigner):
    def __init__(self, digest: str, stamp: int = 0) -> None:
        super().__init__(salt=salt(digest))
        self._stamp = stamp

    def timestamp(self) -> str:
        return signing.b62_encode(self._stamp)


def seal(draft: object) -> bytes:
    assert isinstance(draft, Draft)
    signer = _Seal(draft.digest, draft.listed_until)
    return signer.sign_object(draft.data, serializer=draft.serializer, compress=True).encode()


def unseal(sealed: bytes, among: Iterable[str], serializer: Any) -> Record | None:
    """Return the session, or None where the record was not sealed by us, for this session.

    It may have been sealed for any `among` these digests; the first is that of its name.
    """
    name, *others = among
    text = sealed.decode("latin-1")
    for digest in (name, *others):
        try:
            data = _Seal(digest).unsign_object(text, serializer=serializer)
        except signing.BadSignature:
            continue
        except Exception:  # noqa: BLE001 SESSION_SERIALIZER is anybody's, and may have changed
            _security_log.warning("A session is not in the form of SESSION_SERIALIZER")
            return None
        stamp = signing.b62_decode(text.rsplit(":", 2)[1])
        return Record(name, sealed, user_of(data), stamp, data)
    _security_log.warning("Session data corrupted")
    return None


def user_of(data: dict[str, Any]) -> str | None:
    user = data.get(SESSION_KEY)
    return None if user is None else str(user)


def payload(sealed: bytes) -> bytes:
    return sealed.rsplit(b":", 2)[0]
