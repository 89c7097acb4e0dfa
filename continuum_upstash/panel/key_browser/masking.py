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
    LEASE_KEYS,
    RATELIMIT_KEYS,
    RESERVED_KEYS,
    SESSION_INDEX_KEYS,
    SESSION_KEYS,
    SHADOW_RATELIMIT_KEYS,
    STATISTICS_KEYS,
    TAG_KEYS,
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


def find_protection(full_key: str) -> Protection | None:
    """Return why a Redis key is protected; None: it is not."""
    for prefix in RESERVED_KEYS:
        if full_key.startswith(prefix):
            return Protection(_KINDS.get(prefix, _("reserved")), prefix)
    if compile_session_matcher()(full_key):
        before = full_key.partition(_DJANGO_SESSION)[0]
        return Protection(_KINDS[SESSION_KEYS], before + _DJANGO_SESSION)
    for prefix in (_UPSTASH_RATELIMIT, *_list_rate_limit_prefixes()):
        if full_key.startswith(f"{prefix}:"):
            return Protection(_KINDS[RATELIMIT_KEYS], f"{prefix}:")
    return None


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
