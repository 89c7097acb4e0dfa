"""The Redis keys of sessions and of the user index.

    continuum:session:{KEY_PREFIX}:{digest}        a session
    continuum:session-user:{KEY_PREFIX}:{user id}  the index of a user's sessions

The digest is the HMAC-SHA256 of the session key.

The database contains no session key, so no cookie can be derived from it. No key of a cache begins
like these, whatever its prefix, version and KEY_FUNCTION (`continuum_upstash.keys.RESERVED_KEYS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from django.conf import settings
from django.utils.crypto import salted_hmac

from continuum_upstash.keys import SESSION_INDEX_KEYS, SESSION_KEYS

NAMESPACE: Final = "continuum_upstash.sessions"

SESSIONS_PATTERN: Final = "continuum:session*"  # matches sessions and indexes

# Our session keys have 32 characters; Django allows 8 and more. Other cookies cost no command.
is_session_key: Final = re.compile(r"[a-z0-9]{8,128}").fullmatch

_DJANGO_SESSION: Final = r"django\.contrib\.sessions\.(?:cache|cached_db)[a-z0-9]{8,}"


def compute_digests(session_key: str) -> tuple[str, ...]:
    """Return the digest under SECRET_KEY, then those under SECRET_KEY_FALLBACKS."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return tuple(
        [
            salted_hmac(NAMESPACE, session_key, secret, algorithm="sha256").hexdigest()
            for secret in secrets
        ]
    )


def make_redis_key(prefix: str, digest: str) -> str:
    """Return the Redis key of a session."""
    return f"{SESSION_KEYS}{prefix}:{digest}"


def make_index_key(prefix: str, user_id: str) -> str:
    """Return the Redis key of the index of a user's sessions."""
    return f"{SESSION_INDEX_KEYS}{prefix}:{user_id}"


def compile_session_matcher() -> Callable[[str], object]:
    """Return a function that tells whether a Redis key belongs to a session or a user index.

    It recognizes the sessions of this engine and of Django's cache engines, by the key alone: two
    aliases may reach one database by different URLs, and sessions outlive a change of
    SESSION_ENGINE.
    """
    return re.compile(rf"^(?:{SESSION_KEYS}|{SESSION_INDEX_KEYS})|{_DJANGO_SESSION}").search


class StorageKey:
    """Where a session is stored: under its digest or, until its next save, under an older one.

    Attributes:
        prefix: the KEY_PREFIX of the alias.
        digests: the digest under SECRET_KEY first, then those under SECRET_KEY_FALLBACKS.
        digest: the first digest.
        redis_key: the Redis key of the first digest.
    """

    __slots__ = ("digest", "digests", "prefix", "redis_key")

    def __init__(self, prefix: str, digests: Sequence[str]) -> None:
        self.prefix, self.digests, self.digest = prefix, digests, digests[0]
        self.redis_key = make_redis_key(prefix, digests[0])

    @property
    def older_redis_keys(self) -> list[str]:
        return [make_redis_key(self.prefix, digest) for digest in self.digests[1:]]

    @property
    def redis_keys(self) -> list[str]:
        return [self.redis_key, *self.older_redis_keys]
