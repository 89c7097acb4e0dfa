"""What the browser never shows, and what it hides until a user with the permission asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.keys import (
    BUDGET_KEYS,
    LEASE_KEYS,
    MIGRATION_COPY_KEYS,
    MIGRATION_KEYS,
    QUEUE_KEYS,
    RATELIMIT_KEYS,
    RESERVED_KEYS,
    SESSION_INDEX_KEYS,
    SESSION_KEYS,
    SHADOW_RATELIMIT_KEYS,
    STATISTICS_KEYS,
    TAG_KEYS,
    TASK_KEYS,
)
from continuum_upstash.panel.formatting import Text
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.sessions.keys import compile_session_matcher

HIDDEN: Final = "••••••••"

# Django's words for settings that its error pages hide (django.views.debug), and COOKIE. Several in
# a row are one: of ``api-token:ada``, only ``ada`` is hidden.
_WORD: Final = "(?:API|TOKEN|KEY|SECRET|PASS(?:WORD)?|AUTH|SIGNATURE|COOKIE)"
_find_word: Final = re.compile(rf"{_WORD}(?:[-_. ]?{_WORD})*S?:?", re.IGNORECASE).search

# The value of a lock: see plans/locks.py.
_is_lock_token: Final = re.compile(rb"[0-9a-f]{32}").fullmatch

_KINDS: Final[Mapping[str, Text]] = MappingProxyType(
    {
        SESSION_KEYS: pgettext_lazy("cache health", "session"),
        SESSION_INDEX_KEYS: pgettext_lazy("cache health", "session"),
        RATELIMIT_KEYS: _("rate limit"),
        SHADOW_RATELIMIT_KEYS: _("rate limit"),
        STATISTICS_KEYS: _("statistics"),
        TAG_KEYS: _("cache tag"),
        LEASE_KEYS: pgettext_lazy("cache health", "lock"),
        QUEUE_KEYS: _("queue"),
        TASK_KEYS: _("background task"),
        BUDGET_KEYS: _("budget"),
        MIGRATION_KEYS: _("migration"),
        MIGRATION_COPY_KEYS: _("migration"),
    }
)
_UPSTASH_RATELIMIT: Final = "@upstash/ratelimit"
_DJANGO_SESSION: Final = "django.contrib.sessions."


@dataclass(frozen=True, slots=True)
class Protection:
    """Why a key is protected: only its type, expiry and size are shown, and nothing is changed.

    Attributes:
        kind: what the key belongs to.
        visible: the beginning of the key, which names no one.
    """

    kind: Text
    visible: str

    @property
    def masked(self) -> str:
        return self.visible + HIDDEN


class ProtectionFinder:
    """Tells why Redis keys are protected. It reads the settings once: make one per request."""

    def __init__(self) -> None:
        self._kinds = dict(_KINDS) | {
            prefix: _("reserved") for prefix in RESERVED_KEYS if prefix not in _KINDS
        }
        for prefix in (_UPSTASH_RATELIMIT, *_list_rate_limit_prefixes()):
            self._kinds[f"{prefix}:"] = _KINDS[RATELIMIT_KEYS]
        self._prefixes = tuple(self._kinds)
        self._is_session = compile_session_matcher()

    def find(self, full_key: str) -> Protection | None:
        """Return why a Redis key is protected; None: it is not."""
        if full_key.startswith(self._prefixes):
            prefix = next(each for each in self._prefixes if full_key.startswith(each))
            return Protection(self._kinds[prefix], prefix)
        if _DJANGO_SESSION in full_key and self._is_session(full_key):
            before = full_key.partition(_DJANGO_SESSION)[0]
            return Protection(_KINDS[SESSION_KEYS], before + _DJANGO_SESSION)
        return None


def reaches_hidden_part(search: str, masked: str) -> bool:
    """Return whether a search finds a key by its hidden part.

    The list does not show such a key. Otherwise a user could find out a session key by searching
    for its first character, then for its first two, and so on.

    Args:
        search: the text of the search.
        masked: the key as the list shows it.
    """
    beginning = search.rstrip("*")
    is_pattern = any(each in beginning for each in "*?[\\")
    return is_pattern or not masked.removesuffix(HIDDEN).startswith(beginning)


def has_hidden_word(text: str) -> bool:
    return _find_word(text) is not None


def mask_key(key: str) -> str:
    """Return a key whose part after a word such as TOKEN is hidden, for a list or a log."""
    found = _find_word(key)
    return key if found is None else key[: found.end()] + HIDDEN


def is_family_hidden(name: str) -> bool:
    """Return whether the name of a key family has a part that its keys hide."""
    return mask_key(name) not in {name, name + HIDDEN}


def is_lock_token(content: bytes) -> bool:
    """Return whether stored bytes look like the token of a lock, with which it can be released."""
    return _is_lock_token(content) is not None


def _list_rate_limit_prefixes() -> list[str]:
    """Return the prefixes of policies that use the keys of @upstash/ratelimit."""
    try:
        prefixes = {policy.upstash_prefix for policy in conf.policies.values()}
    except ConfigurationError:
        return []
    return [each for each in prefixes if each]
