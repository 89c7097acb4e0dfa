"""The Redis keys of sessions and of the user index.

    {KEY_PREFIX}:session:{digest}         a session; digest: HMAC-SHA256 of its session key
    {KEY_PREFIX}:session-user:{user id}   the index of a user's sessions

The database contains no session key, so no cookie can be derived from it. No version follows the
prefix, so neither a cache key nor ``cache.clear()`` can reach a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from django.conf import settings
from django.utils.crypto import salted_hmac

NAMESPACE: Final = "continuum_upstash.sessions"

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
    return f"{prefix}:session:{digest}"


def make_index_key(prefix: str, user_id: str) -> str:
    """Return the Redis key of the index of a user's sessions."""
    return f"{prefix}:session-user:{user_id}"


def compile_session_matcher() -> Callable[[str], object]:
    """Return a function that tells whether a Redis key belongs to a session or a user index.

    It recognizes the sessions of this engine and of Django's cache engines, by the key alone: two
    aliases may reach one database by different URLs, and sessions outlive a change of
    SESSION_ENGINE.
    """
    prefix = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("KEY_PREFIX", "")
    session, index = re.escape(make_redis_key(prefix, "")), re.escape(make_index_key(prefix, ""))
    return re.compile(rf"^(?:{session}[0-9a-f]{{64}}\Z|{index})|{_DJANGO_SESSION}").search


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
